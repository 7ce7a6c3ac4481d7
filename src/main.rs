//! The command line of the gateway.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lacuna::{app::App, command, config::Config, picture, process, telemetry};
use tokio::signal::unix::{SignalKind, signal};

/// Erases anything from a photo: `POST /inpaint`, in front of NVIDIA Triton.
///
/// Without a command, serves.
#[derive(Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Ends with 0 if the gateway of these settings lives; for containers
    Health,
    /// Tokens of callers
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// Decodes a HEIC file from standard input; for the gateway's own use
    #[command(name = picture::HEIC_COMMAND, hide = true)]
    DecodeHeic,
}

#[derive(Subcommand)]
enum Token {
    /// Makes a token: shows it, and prints the line for LACUNA_TOKENS_FILE
    New {
        /// What logs and metrics will call the caller
        name: String,
    },
}

fn main() -> ExitCode {
    // SAFETY: nothing has been started.
    unsafe { process::unset_empty_settings() };
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::DecodeHeic) => return picture::decode_heic_from_stdin(),
        Some(Command::Health) => command::health(cli.config.admin_listen),
        Some(Command::Token { command: Token::New { name } }) => command::new_token(&name),
        None => serve(cli.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lacuna: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), String> {
    process::raise_file_limit();
    process::keep_freed_memory();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let _entered = runtime.enter();
    let _telemetry = telemetry::start(config.log_format, config.otlp_endpoint.as_deref())?;
    runtime.block_on(run(config))
}

async fn run(config: Config) -> Result<(), String> {
    let on = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let app = App::build(config).await?;
    let address = app.address().map_err(|error| error.to_string())?;
    tracing::info!(%address, "listening");
    app.run_until(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(())
}
