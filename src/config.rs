//! Settings, each of which has a flag and an environment variable.

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Parser;

use crate::{
    picture::{Limits, MB},
    telemetry::LogFormat,
    triton::Address,
};

/// Upper bound of the side limit: WebP's maximum.
const LONGEST_SIDE: i64 = 16_383;
/// Upper bound of the pixel limit: at eight bytes per pixel, a response still fits the memory budget.
const MOST_PIXELS: u64 = 64_000_000;

/// Erases anything from a photo: `POST /inpaint`, in front of NVIDIA Triton.
#[derive(Clone, Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Config {
    /// Address of the API
    #[arg(long, env = "LACUNA_LISTEN", value_name = "LACUNA_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Address of /metrics; keep it private
    #[arg(
        long,
        env = "LACUNA_ADMIN_LISTEN",
        value_name = "LACUNA_ADMIN_LISTEN",
        default_value = "127.0.0.1:9090"
    )]
    pub admin_listen: SocketAddr,

    /// Triton's gRPC addresses, http(s)://host:port, comma-separated; a host name with several addresses
    /// counts as several replicas
    #[arg(long, env = "LACUNA_TRITON", value_name = "LACUNA_TRITON", value_delimiter = ',')]
    #[arg(default_value = "http://127.0.0.1:8001")]
    pub triton: Vec<Address>,

    /// Callers as name:token, comma-separated; for local use
    #[arg(
        long,
        env = "LACUNA_TOKENS",
        value_name = "LACUNA_TOKENS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub tokens: Vec<NamedToken>,

    /// File of callers, one per line: name, SHA-256 of the token in hex, and optionally requests per minute
    /// and burst; reloaded when it changes
    #[arg(long, env = "LACUNA_TOKENS_FILE", value_name = "LACUNA_TOKENS_FILE")]
    pub tokens_file: Option<PathBuf>,

    /// Requests per minute for each token
    #[arg(long, env = "LACUNA_RATE_PER_MINUTE", value_name = "LACUNA_RATE_PER_MINUTE", default_value = "60")]
    pub rate_per_minute: NonZeroU32,

    /// Requests that each token may send at once after a pause (burst)
    #[arg(long, env = "LACUNA_RATE_BURST", value_name = "LACUNA_RATE_BURST", default_value = "10")]
    pub rate_burst: NonZeroU32,

    /// Requests that each token may have in flight, including uploads and unread responses, so that no token
    /// crowds out the others
    #[arg(
        long,
        env = "LACUNA_TOKEN_CONCURRENCY",
        value_name = "LACUNA_TOKEN_CONCURRENCY",
        default_value = "16"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub token_concurrency: u16,

    /// Name of the Triton model that fills holes
    #[arg(
        long,
        env = "LACUNA_INPAINT_MODEL",
        value_name = "LACUNA_INPAINT_MODEL",
        default_value = "patchmatch"
    )]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub inpaint_model: String,

    /// Name of the Triton model that finds the subject
    #[arg(long, env = "LACUNA_SEGMENT_MODEL", value_name = "LACUNA_SEGMENT_MODEL", default_value = "isnet")]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub segment_model: String,

    /// Redis or Valkey through which several gateways share each token's quota, redis://host:port; without it
    /// each gateway counts alone
    #[arg(long, env = "LACUNA_RATE_REDIS", value_name = "LACUNA_RATE_REDIS", hide_env_values = true)]
    pub rate_redis: Option<String>,

    /// While it is unreachable, let each gateway count alone (open) or refuse all requests (closed)
    #[arg(
        long,
        env = "LACUNA_RATE_REDIS_FAIL",
        value_name = "LACUNA_RATE_REDIS_FAIL",
        default_value = "open"
    )]
    pub rate_redis_fail: Fail,

    /// Certificate chain (PEM) for serving the API over TLS; reloaded when it changes
    #[arg(long, env = "LACUNA_TLS_CERT", value_name = "LACUNA_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, env = "LACUNA_TLS_KEY", value_name = "LACUNA_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// CA certificate (PEM) for https:// Tritons; the system's CAs without it
    #[arg(long, env = "LACUNA_TRITON_CA", value_name = "LACUNA_TRITON_CA")]
    pub triton_ca: Option<PathBuf>,

    /// Client certificate (PEM) for https:// Tritons
    #[arg(long, env = "LACUNA_TRITON_CERT", value_name = "LACUNA_TRITON_CERT", requires = "triton_key")]
    pub triton_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, env = "LACUNA_TRITON_KEY", value_name = "LACUNA_TRITON_KEY", requires = "triton_cert")]
    pub triton_key: Option<PathBuf>,

    /// Web origins whose pages may call the API (CORS), https://host, comma-separated; * allows every origin,
    /// and by default none is allowed
    #[arg(
        long,
        env = "LACUNA_CORS_ORIGINS",
        value_name = "LACUNA_CORS_ORIGINS",
        value_delimiter = ',',
        value_parser = origin
    )]
    pub cors_origins: Vec<String>,

    /// Largest photo or mask, in MiB (1 048 576 bytes)
    #[arg(long, env = "LACUNA_MAX_FILE_MB", value_name = "LACUNA_MAX_FILE_MB", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    pub max_file_mb: u16,

    /// Longest side of a photo or mask, in pixels
    #[arg(long, env = "LACUNA_MAX_SIDE", value_name = "LACUNA_MAX_SIDE", default_value = "4096")]
    #[arg(value_parser = clap::value_parser!(u32).range(256..=LONGEST_SIDE))]
    pub max_side: u32,

    /// Most pixels of a photo or mask; 50000000 with a side of 8192 allows 48-megapixel photos
    #[arg(long, env = "LACUNA_MAX_PIXELS", value_name = "LACUNA_MAX_PIXELS", default_value = "16777216")]
    #[arg(value_parser = clap::value_parser!(u64).range(65_536..=MOST_PIXELS))]
    pub max_pixels: u64,

    /// Photos processed at once, including those that wait for Triton; steps on the CPU are limited to the cores
    #[arg(long, env = "LACUNA_MAX_CONCURRENT", value_name = "LACUNA_MAX_CONCURRENT", default_value = "32")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub max_concurrent: u16,

    /// Photos that may wait in the queue; further ones are refused
    #[arg(long, env = "LACUNA_MAX_QUEUE", value_name = "LACUNA_MAX_QUEUE", default_value = "32")]
    pub max_queue: u16,

    /// Decoded size of all photos processed at once, in MiB; processing takes up to four times as much memory
    #[arg(long, env = "LACUNA_MAX_DECODED_MB", value_name = "LACUNA_MAX_DECODED_MB", default_value = "512")]
    pub max_decoded_mb: NonZeroU32,

    /// Deadline of a request once its upload is complete, in seconds
    #[arg(
        long,
        env = "LACUNA_REQUEST_TIMEOUT",
        value_name = "LACUNA_REQUEST_TIMEOUT",
        default_value = "120"
    )]
    #[arg(value_parser = seconds)]
    pub request_timeout: Duration,

    /// How long requests in flight may take to finish at shutdown, in seconds; defaults to the request
    /// timeout
    #[arg(long, env = "LACUNA_DRAIN_TIMEOUT", value_name = "LACUNA_DRAIN_TIMEOUT")]
    #[arg(value_parser = seconds)]
    pub drain_timeout: Option<Duration>,

    /// Keep-alive timeout of HTTP/1.1, in seconds; longer than that of a proxy in front, so that no
    /// connection is closed just as a request arrives
    #[arg(long, env = "LACUNA_IDLE_TIMEOUT", value_name = "LACUNA_IDLE_TIMEOUT", default_value = "75")]
    #[arg(value_parser = seconds)]
    pub idle_timeout: Duration,

    /// Format of log lines
    #[arg(long, env = "LACUNA_LOG_FORMAT", value_name = "LACUNA_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// OTLP/gRPC endpoint for traces, http://host:4317; no traces are sent without it
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

/// What happens to requests while the shared quotas are unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fail {
    /// Fail open: each gateway counts alone.
    Open,
    /// Fail closed: all requests are refused.
    Closed,
}

impl Config {
    /// Checks that concern several settings, or whose failure must not show the value.
    ///
    /// # Errors
    /// A message naming the variables concerned.
    pub fn check(self) -> Result<Self, String> {
        if self.tokens.is_empty() && self.tokens_file.is_none() {
            return Err("no caller could get in: set LACUNA_TOKENS or LACUNA_TOKENS_FILE".to_owned());
        }
        // Not left to clap, whose message would show the secret.
        if let Some(at) = self.tokens.iter().position(|token| token.name.is_empty() || token.token.is_empty())
        {
            return Err(format!("entry {} of LACUNA_TOKENS is not of the form name:token", at + 1));
        }
        if self.triton.is_empty() {
            return Err("LACUNA_TRITON names no address".to_owned());
        }
        Ok(self)
    }

    /// Size limits of photos and masks.
    pub fn picture_limits(&self) -> Limits {
        Limits { bytes: usize::from(self.max_file_mb) * MB, side: self.max_side, pixels: self.max_pixels }
    }
}

/// A caller's name and token.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedToken {
    /// The caller's name in logs.
    pub name: String,
    /// The secret.
    pub token: String,
}

impl fmt::Debug for NamedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.name)
    }
}

impl From<String> for NamedToken {
    /// Splits at the first colon. Without one the name is empty, which [`Config::check`] refuses.
    fn from(text: String) -> Self {
        let (name, token) = text.trim().split_once(':').unwrap_or(("", ""));
        Self { name: name.to_owned(), token: token.to_owned() }
    }
}

/// Parses an origin as browsers send it: no path, no trailing slash.
fn origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte))
    };
    if text == "*" || host.is_some_and(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("must be https://host, http://host:port or *".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err("must be 0.1 to 3600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_readme_and_the_operators_page_have_every_setting() {
        for (page, text) in [
            ("README.md", include_str!("../README.md")),
            ("docs/operations.md", include_str!("../docs/operations.md")),
        ] {
            for setting in Config::command().get_arguments().filter_map(clap::Arg::get_env) {
                let setting = setting.to_str().unwrap();
                assert!(text.contains(&format!("`{setting}`")), "{page} has no {setting}");
            }
        }
    }

    fn parse(args: &[&str]) -> Result<Config, String> {
        let args = ["lacuna"].iter().chain(args);
        Config::try_parse_from(args).map_err(|error| error.to_string())?.check()
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_variable_and_without_the_secret() {
        let token = "--tokens=me:s3cret";
        for (args, name) in [
            (["--listen=nowhere", token], "LACUNA_LISTEN"),
            (["--triton=localhost:8001", token], "LACUNA_TRITON"),
            (["--rate-per-minute=0", token], "LACUNA_RATE_PER_MINUTE"),
            (["--rate-burst=-1", token], "LACUNA_RATE_BURST"),
            (["--token-concurrency=0", token], "LACUNA_TOKEN_CONCURRENCY"),
            (["--max-concurrent=0", token], "LACUNA_MAX_CONCURRENT"),
            (["--max-queue=x", token], "LACUNA_MAX_QUEUE"),
            (["--request-timeout=0", token], "LACUNA_REQUEST_TIMEOUT"),
            (["--drain-timeout=never", token], "LACUNA_DRAIN_TIMEOUT"),
            (["--max-file-mb=0", token], "LACUNA_MAX_FILE_MB"),
            (["--max-side=20000", token], "LACUNA_MAX_SIDE"),
            (["--max-pixels=1e9", token], "LACUNA_MAX_PIXELS"),
            (["--cors-origins=https://a/", token], "LACUNA_CORS_ORIGINS"),
            (["--inpaint-model=", token], "LACUNA_INPAINT_MODEL"),
            (["--rate-burst=1", "--rate-per-minute=60"], "LACUNA_TOKENS"),
            (["--tokens=s3cret", token], "LACUNA_TOKENS"),
            (["--tokens=me:", token], "LACUNA_TOKENS"),
        ] {
            let message = parse(&args).expect_err(args[0]);
            assert!(message.contains(name), "{args:?}: {message}");
            assert!(!message.contains("s3cret"), "{args:?}: {message}");
        }
        assert!(!format!("{:?}", parse(&[token])).contains("s3cret"));
    }

    #[test]
    fn the_defaults_need_only_a_token() {
        let config = parse(&["--tokens=a:1,b:2"]).unwrap();
        assert_eq!(config.tokens.len(), 2);
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.rate_per_minute.get(), 60);
        // Longer than proxies in front keep connections open (nginx: 60 s).
        assert!(config.idle_timeout >= Duration::from_secs(75));
        assert_eq!(config.picture_limits(), Limits::DEFAULT);
        assert!(config.cors_origins.is_empty());
    }
}
