//! The service, as any client sees it: a form goes there, a picture comes back; what may pass is tried again.

use std::time::{Duration, Instant};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{HeaderMap, RETRY_AFTER},
    multipart::{Form, Part},
};
use serde::Deserialize;
use tokio::{sync::Mutex, time::sleep};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a whole request may take: more than any service gives itself.
const REQUEST: Duration = Duration::from_mins(10);
/// The pause before the first further attempt where the service names none, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often a failure of the service's own is tried again: it may be the photo's after all.
const OWN_FAILURES: u32 = 2;

/// What is to be erased.
pub enum Region {
    /// The white of a mask, which is a file.
    Mask(Vec<u8>),
    /// x, y, width, height.
    Box([i64; 4]),
    /// The subject.
    Subject,
}

impl Region {
    /// What kind it is, with the box.
    pub fn name(&self) -> String {
        match self {
            Self::Mask(_) => "mask".to_owned(),
            Self::Box(sides) => format!("bbox {sides:?}"),
            Self::Subject => "subject".to_owned(),
        }
    }

    /// The mask's file, if there is one.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Mask(file) => file,
            Self::Box(_) | Self::Subject => &[],
        }
    }
}

/// Reads `X,Y,W,H`.
///
/// # Errors
/// A message where it is not that.
pub fn parse_box(text: &str) -> Result<[i64; 4], String> {
    let sides: Result<Vec<i64>, _> = text.split(',').map(|side| side.trim().parse()).collect();
    sides.ok().and_then(|sides| sides.try_into().ok()).ok_or_else(|| "four whole numbers: X,Y,W,H".to_owned())
}

/// What came back.
pub struct Answer {
    /// The result's file.
    pub picture: Vec<u8>,
    /// The model that filled it.
    pub model: String,
    /// What the service wants known.
    pub warning: Option<String>,
}

/// Why a photo has no result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong, for people.
    pub message: String,
    /// The service's name for it, if it has one.
    pub code: Option<String>,
    /// Whether no other photo would fare better.
    pub fatal: bool,
}

impl Failure {
    /// One that the service knows nothing of.
    pub fn of(message: String) -> Self {
        Self { message, code: None, fatal: false }
    }
}

/// The body of an error.
#[derive(Deserialize)]
struct Told {
    error: String,
    message: String,
    request_id: String,
}

/// A service at an address.
pub struct Server {
    client: Client,
    url: Url,
    token: String,
    patience: Duration,
    /// Not before then is anything sent: one answer that says when is for all.
    open_from: Mutex<Instant>,
}

impl Server {
    /// The service at `address`.
    ///
    /// # Errors
    /// A message where that is no address.
    pub fn new(address: &str, token: &str, patience: Duration) -> Result<Self, String> {
        let address = format!("{}/", address.trim_end_matches('/'));
        let url = Url::parse(&address).and_then(|url| url.join("inpaint"));
        let url = url.map_err(|error| format!("--server {address}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("--server {address}: http://… or https://…"));
        }
        // Once for the process; a second call finds the first's.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(CONNECT).timeout(REQUEST).build();
        let client = client.map_err(|error| error.to_string())?;
        Ok(Self { client, url, token: token.to_owned(), patience, open_from: Mutex::new(Instant::now()) })
    }

    /// Sends a photo until it has an answer, or patience ends.
    ///
    /// # Errors
    /// [`Failure`] where there is none.
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
    // The innermost cause says most: "Connection refused".
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::of(format!("the service cannot be reached: {cause}"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    Some(Duration::from_secs(headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?))
}
