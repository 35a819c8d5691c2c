//! Streams the words of the event, one after the other: an unmodified `lambda_runtime` program.

use lambda_runtime::streaming::{Body, Response, Sender, channel};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(stream)).await
}

async fn stream(event: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let (sender, body) = channel();
    tokio::spawn(send(sender, event.payload));
    Ok(Response::from(body))
}

async fn send(mut sender: Sender, event: Value) {
    for word in event["words"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // Whoever runs the function takes no more once its time is over.
        if sender.send_data(word.to_owned().into()).await.is_err() {
            return;
        }
    }
}
