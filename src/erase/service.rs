//! A client of the API: sends a form, receives an image, and retries transient failures.

use std::time::{Duration, Instant};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{HeaderMap, RETRY_AFTER},
    multipart::{Form, Part},
};
use serde::Deserialize;
use tokio::{sync::Mutex, time::sleep};

/// Connect timeout.
const CONNECT: Duration = Duration::from_secs(10);
/// Timeout of a whole request, longer than any service's own deadline.
const REQUEST: Duration = Duration::from_mins(10);
/// First and longest backoff between attempts, for failures without `retry-after`.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Retries after a 500 or 504. Few, as the photo itself may be the cause.
const OWN_FAILURES: u32 = 2;

/// What to erase.
pub enum Region {
    /// The white part of a mask, as an encoded image.
    Mask(Vec<u8>),
    /// Left, top, width and height, in pixels.
    Box([i64; 4]),
    /// The photo's subject, found by the service.
    Subject,
}

impl Region {
    /// Its kind, with the coordinates if it is a box: part of the ledger's key.
    pub fn name(&self) -> String {
        match self {
            Self::Mask(_) => "mask".to_owned(),
            Self::Box(sides) => format!("bbox {sides:?}"),
            Self::Subject => "subject".to_owned(),
        }
    }

    /// The encoded mask; empty for other kinds.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Mask(file) => file,
            Self::Box(_) | Self::Subject => &[],
        }
    }
}

/// Parses `X,Y,W,H`.
///
/// # Errors
/// A message that names the expected form.
pub fn parse_box(text: &str) -> Result<[i64; 4], String> {
    let sides: Result<Vec<i64>, _> = text.split(',').map(|side| side.trim().parse()).collect();
    sides.ok().and_then(|sides| sides.try_into().ok()).ok_or_else(|| "four whole numbers: X,Y,W,H".to_owned())
}

/// A successful response.
pub struct Answer {
    /// The encoded result.
    pub picture: Vec<u8>,
    /// Label of the model that filled it.
    pub model: String,
    /// The service's warning, if any.
    pub warning: Option<String>,
}

/// Why a photo has no result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong, for humans.
    pub message: String,
    /// The service's error code, if it sent one.
    pub code: Option<String>,
    /// Whether every other photo would fail the same way.
    pub fatal: bool,
}

impl Failure {
    /// A failure on our side, which concerns only this photo.
    pub fn of(message: String) -> Self {
        Self { message, code: None, fatal: false }
    }
}

/// The body of an error response.
#[derive(Deserialize)]
struct Told {
    error: String,
    message: String,
    request_id: String,
}

/// A service at a URL.
pub struct Server {
    client: Client,
    url: Url,
    token: String,
    patience: Duration,
    /// Nothing is sent before this time: a `retry-after` to one request holds back all of them.
    open_from: Mutex<Instant>,
}

impl Server {
    /// Prepares requests to the service at `address`; does not connect yet.
    ///
    /// # Errors
    /// A message if that is no HTTP URL.
    pub fn new(address: &str, token: &str, patience: Duration) -> Result<Self, String> {
        let address = format!("{}/", address.trim_end_matches('/'));
        let url = Url::parse(&address).and_then(|url| url.join("inpaint"));
        let url = url.map_err(|error| format!("--server {address}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("--server {address}: http://… or https://…"));
        }
        // Fails harmlessly if a provider is installed already.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(CONNECT).timeout(REQUEST).build();
        let client = client.map_err(|error| error.to_string())?;
        Ok(Self { client, url, token: token.to_owned(), patience, open_from: Mutex::new(Instant::now()) })
    }

    /// Sends a photo, retrying transient failures until `patience` runs out.
    ///
    /// # Errors
    /// The last [`Failure`].
    pub async fn inpaint(
        &self,
        photo: Vec<u8>,
        region: &Region,
        dilation: u32,
        format: &str,
    ) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let (mut pause, mut own_failures) = (PAUSE, 0);
        loop {
            let from = *self.open_from.lock().await;
            sleep(from.saturating_duration_since(Instant::now())).await;
            let (failure, wait) = match self.send(form(&photo, region, dilation, format)).await {
                Ok(response) if response.status() == StatusCode::OK => match answer(response).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (unreachable(&error), None),
                },
                Ok(response) => {
                    let (status, wait) = (response.status(), retry_after(response.headers()));
                    let failure = refusal(response).await;
                    let own = matches!(status.as_u16(), 500 | 504);
                    own_failures += u32::from(own);
                    let passes = matches!(status.as_u16(), 408 | 429 | 502 | 503)
                        || own_failures <= OWN_FAILURES && own;
                    if !passes {
                        return Err(failure);
                    }
                    (failure, wait)
                }
                Err(error) => (unreachable(&error), None),
            };
            let wait = wait.unwrap_or(pause);
            if begun.elapsed() + wait > self.patience {
                return Err(failure);
            }
            let mut from = self.open_from.lock().await;
            *from = (*from).max(Instant::now() + wait);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn send(&self, form: Form) -> Result<Response, reqwest::Error> {
        self.client.post(self.url.clone()).bearer_auth(&self.token).multipart(form).send().await
    }
}

fn form(photo: &[u8], region: &Region, dilation: u32, format: &str) -> Form {
    let file = |bytes: &[u8], name: &'static str| Part::bytes(bytes.to_vec()).file_name(name);
    let form = Form::new()
        .part("file", file(photo, "photo"))
        .text("dilation", dilation.to_string())
        .text("format", format.to_owned());
    match region {
        Region::Mask(mask) => form.part("mask", file(mask, "mask")),
        Region::Box(sides) => ["x", "y", "w", "h"]
            .into_iter()
            .zip(sides)
            .fold(form, |form, (name, value)| form.text(name, value.to_string())),
        Region::Subject => form,
    }
}

async fn answer(response: Response) -> Result<Answer, reqwest::Error> {
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (model, warning) = (header("x-knockout-model").unwrap_or_default(), header("x-knockout-warning"));
    Ok(Answer { model, warning, picture: response.bytes().await?.to_vec() })
}

async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let fatal = status == StatusCode::UNAUTHORIZED;
    match response.json::<Told>().await {
        Ok(told) => Failure {
            message: format!("{} (request {})", told.message, told.request_id),
            code: Some(told.error),
            fatal,
        },
        Err(_) => Failure { message: format!("the service answered with {status}"), code: None, fatal },
    }
}

fn unreachable(error: &reqwest::Error) -> Failure {
    // The innermost cause is the most telling: "Connection refused".
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::of(format!("the service cannot be reached: {cause}"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    Some(Duration::from_secs(headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?))
}
