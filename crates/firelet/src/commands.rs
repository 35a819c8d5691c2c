//! The commands, and what they take.

mod doctor;
mod environments;
mod invoke;
mod logs;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::serve;

/// What firelet can be told to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the Lambda API.
    ///
    /// Everything that firelet keeps is below the data directory; give each server its own. AWS clients reach the
    /// server with AWS_ENDPOINT_URL=http://ADDRESS:PORT and any credentials: an access key id of 12 digits names the
    /// account, any other stands for 000000000000. FIRELET_LOG=debug says more of what the server does.
    Serve(Box<serve::ServeArguments>),
    /// Invoke a function and print its answer.
    ///
    /// The answer goes to standard output; with --log, the end of the log goes to standard error. The exit status is
    /// 1 when the function failed.
    Invoke(invoke::InvokeArguments),
    /// Print the log of a function, oldest line first, each with its time.
    Logs(logs::LogsArguments),
    /// List the execution environments of a server, whoever's they are, and the interpreters that wait for a function.
    ///
    /// Processes are numbered as on the server's host.
    Environments(environments::EnvironmentsArguments),
    /// Say what this host lets firelet enforce, and which runtimes it has.
    ///
    /// Run it as the user who will run the server. The exit status is 1 when something is not fully enforced.
    Doctor(doctor::DoctorArguments),
    /// Print the version.
    Version,
}

/// How commands reach the server.
#[derive(Debug, Args)]
pub(crate) struct Endpoint {
    /// The server's address.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4566")]
    pub(crate) endpoint: String,
    /// The account, as 12 digits; it is the access key id that AWS clients would use.
    #[arg(long, value_name = "ACCOUNT", env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub(crate) account: Option<String>,
    /// The Region; without it AWS_DEFAULT_REGION counts, and then us-east-1.
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub(crate) region: Option<String>,
}

impl Endpoint {
    /// The Region that AWS's own clients would use.
    pub(crate) fn region(&self) -> String {
        let default = || std::env::var("AWS_DEFAULT_REGION").ok().filter(|region| !region.is_empty());
        self.region.clone().or_else(default).unwrap_or_else(|| "us-east-1".to_owned())
    }
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(arguments) => serve::run(&arguments),
            Self::Invoke(arguments) => invoke::run(&arguments),
            Self::Logs(arguments) => logs::run(&arguments),
            Self::Environments(arguments) => environments::run(&arguments),
            Self::Doctor(arguments) => doctor::run(&arguments),
            Self::Version => {
                anstream::println!("firelet {}", env!("CARGO_PKG_VERSION"));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
