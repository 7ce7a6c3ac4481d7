//! The command line of the gateway.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use lacuna::{app::App, command, config::Config, erase, picture, process, telemetry};
use tokio::signal::unix::{SignalKind, signal};

/// Erases anything from a photo: `POST /inpaint`, in front of NVIDIA Triton.
///
/// Serves if no command is given.
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
    /// Erases from photos and folders of photos through a running gateway
    Erase(Box<erase::Erase>),
    /// Prints shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the man page of `lacuna erase`
    Man,
    /// Exits with 0 if the gateway with these settings is alive; for container health checks
    Health,
    /// Manages callers' tokens
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// Decodes a HEIC file from standard input; for internal use
    #[command(name = picture::HEIC_COMMAND, hide = true)]
    DecodeHeic {
        /// Memory limit in bytes
        memory: u64,
        /// Time limit in milliseconds
        milliseconds: u64,
    },
}

#[derive(Subcommand)]
enum Token {
    /// Creates a token, shows it, and prints its line for LACUNA_TOKENS_FILE
    New {
        /// The caller's name in logs
        name: String,
    },
}

fn main() -> ExitCode {
    // SAFETY: no other thread has been started.
    unsafe { process::unset_empty_settings() };
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::DecodeHeic { memory, milliseconds }) => {
            return picture::decode_heic_from_stdin(memory, milliseconds);
        }
        Some(Command::Erase(asked)) => match run_erase(*asked) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "lacuna", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Man) => manual(),
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

fn run_erase(asked: erase::Erase) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(erase::run(asked))
}

fn manual() -> Result<(), String> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let erase = cli.find_subcommand("erase").expect("a command of the list above. This is a bug.");
    let page = clap_mangen::Man::new(erase.clone().name("lacuna-erase").version(env!("CARGO_PKG_VERSION")));
    page.render(&mut std::io::stdout()).map_err(|error| error.to_string())
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
