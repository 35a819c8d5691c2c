//! Greets whoever the event names: an unmodified `lambda_runtime` program.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(greet)).await
}

async fn greet(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let name = event.payload["name"].as_str().unwrap_or("world");
    println!("greeting {name}");
    Ok(json!({
        "message": format!("Hello, {name}!"),
        "request": event.context.request_id,
        "function": event.context.env_config.function_name,
    }))
}
