//! The body: a bounded multipart form, read into a request.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, stream};
use multer::{Constraints, Multipart, SizeLimit};
use tokio::time::{Instant, timeout, timeout_at};
use warp::http::{HeaderMap, header};

use super::error::ApiError;
use crate::{
    gate::{Budget, Held},
    inpaint::{FindRequest, MAX_DILATION, Region, Request, Target},
    picture::{MAX_BYTES, OutputFormat},
};

/// How long a body may take to arrive.
const WHOLE_BODY: Duration = Duration::from_secs(120);
/// How long it may pause.
const STALL: Duration = Duration::from_secs(15);
/// What everything but the two files may take, in bytes.
const REST: u64 = 256 * 1024;
/// The longest field but the two files, in bytes.
const MAX_FIELD: u64 = 8 * 1024;
/// The most fields.
const MAX_FIELDS: usize = 64;
/// What may lie between two fields, their headers with it, in bytes; and in how many pieces all of it may
/// come: with each the parser looks through it from the start.
const MAX_BETWEEN: u64 = 64 * 1024;
const MAX_PIECES: u32 = 1024;
/// The largest body, in bytes.
const MAX_BODY: u64 = 2 * MAX_BYTES as u64 + REST;
/// How much of a body that nobody wants is read so that its sender gets to our answer, and for how
/// long: many clients look for an answer only once they have sent everything.
const LINGER_BYTES: u64 = 3 * MAX_BYTES as u64;
const LINGER_TIME: Duration = Duration::from_secs(10);

/// The body of a request, as it streams in.
pub struct Body {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>,
    deadline: Instant,
    /// Bytes read so far.
    read: u64,
    /// The room that what was read takes, for as long as the request lasts.
    held: Option<Held>,
    ended: bool,
    parsed: Arc<Parsed>,
    /// How often more had to be waited for between two fields.
    pieces: u32,
}

/// How far the form has been read.
#[derive(Debug, Default)]
struct Parsed {
    /// Whether a field is being read; a header is looked for otherwise.
    in_field: AtomicBool,
    /// Bytes that the fields so far had.
    fields: AtomicU64,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the body did not arrive in time")]
    Late,
    #[error("too much is being uploaded")]
    Full,
    #[error("a part's header does not end")]
    Header,
    #[error("{0}")]
    Broken(warp::Error),
}

impl Body {
    /// The body of a request that begins now.
    pub fn new<B: Buf>(chunks: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Self {
        let chunks = chunks.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining())));
        let deadline = Instant::now() + WHOLE_BODY;
        Self {
            chunks: Box::pin(chunks),
            deadline,
            read: 0,
            held: None,
            ended: false,
            parsed: Arc::default(),
            pieces: 0,
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let chunk = timeout_at(self.deadline, timeout(STALL, self.chunks.next())).await;
        let chunk = match chunk {
            Ok(Ok(chunk)) => chunk.map(|chunk| chunk.map_err(BodyError::Broken)),
            Ok(Err(_)) | Err(_) => Some(Err(BodyError::Late)),
        };
        match &chunk {
            Some(Ok(bytes)) => self.read += bytes.len() as u64,
            Some(Err(_)) | None => self.ended = true,
        }
        chunk
    }

    /// The next chunk, with room for it.
    async fn keep(&mut self, uploads: &Budget) -> Option<Result<Bytes, BodyError>> {
        let before = self.read;
        let mut waited = false;
        let chunk = {
            let mut next = pin!(self.next());
            poll_fn(|context| {
                let chunk = next.as_mut().poll(context);
                waited |= chunk.is_pending();
                chunk
            })
            .await?
        };
        // Where more had to be waited for, what was there had been looked through.
        if waited && !self.parsed.in_field.load(Ordering::Relaxed) {
            self.pieces += 1;
            let between = before.saturating_sub(self.parsed.fields.load(Ordering::Relaxed));
            if between > MAX_BETWEEN || self.pieces > MAX_PIECES {
                return Some(Err(BodyError::Header));
            }
        }
        let room = chunk.as_ref().map_or(Ok(()), |bytes| uploads.take(bytes.len(), &mut self.held));
        Some(room.map_err(|_| BodyError::Full).and(chunk))
    }

    /// Reads on, within limits and in the background, what a refused request still sends; unless its
    /// sender waits for our word before it sends anything.
    pub fn linger(mut self, headers: &HeaderMap) {
        let waiting = self.read == 0 && headers.contains_key(header::EXPECT);
        if self.ended || waiting {
            return;
        }
        self.held = None;
        tokio::spawn(timeout(LINGER_TIME, async move {
            let limit = self.read + LINGER_BYTES;
            while self.read < limit && matches!(self.next().await, Some(Ok(_))) {}
        }));
    }
}

/// The fields of the API, as they were sent.
#[derive(Default)]
pub struct Fields {
    file: Option<Bytes>,
    mask: Option<Bytes>,
    bbox: [Option<String>; 4],
    dilation: Option<String>,
    format: Option<String>,
}

/// Reads the body's form, within what is left for `uploads`. Fields that are not of the API are passed over.
///
/// # Errors
/// Those of [`ApiError`] that concern the body and its form.
pub async fn read(headers: &HeaderMap, body: &mut Body, uploads: &Budget) -> Result<Fields, ApiError> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| ApiError::NotAForm)?;
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(bad("A compressed body is not supported."));
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return Err(ApiError::TooLarge);
    }

    let parsed = Arc::clone(&body.parsed);
    let chunks = stream::unfold(body, |body| async { body.keep(uploads).await.map(|chunk| (chunk, body)) });
    let sizes = SizeLimit::new()
        .whole_stream(MAX_BODY)
        .per_field(MAX_FIELD)
        .for_field("file", MAX_BYTES as u64)
        .for_field("mask", MAX_BYTES as u64);
    let mut form = Multipart::with_constraints(chunks, boundary, Constraints::new().size_limit(sizes));
    let mut fields = Fields::default();
    let mut count = 0;
    while let Some(field) = form.next_field().await.map_err(of_multer)? {
        count += 1;
        if count > MAX_FIELDS {
            return Err(bad("The form has too many fields."));
        }
        parsed.in_field.store(true, Ordering::Relaxed);
        let taken = fields.take(field).await?;
        parsed.fields.fetch_add(taken, Ordering::Relaxed);
        parsed.in_field.store(false, Ordering::Relaxed);
    }
    Ok(fields)
}

impl Fields {
    /// Takes a field of the form, and tells its length.
    async fn take(&mut self, field: multer::Field<'_>) -> Result<u64, ApiError> {
        let name = field.name().unwrap_or_default().to_owned();
        let chosen = field.file_name() != Some("");
        let bytes = field.bytes().await.map_err(of_multer)?;
        let length = bytes.len() as u64;
        match name.as_str() {
            "file" => put(&mut self.file, &name, bytes)?,
            // A browser's form sends a nameless, empty file where none was chosen.
            "mask" if !chosen && bytes.is_empty() => {}
            "mask" => put(&mut self.mask, &name, bytes)?,
            "x" => put(&mut self.bbox[0], &name, text(&name, &bytes)?)?,
            "y" => put(&mut self.bbox[1], &name, text(&name, &bytes)?)?,
            "w" => put(&mut self.bbox[2], &name, text(&name, &bytes)?)?,
            "h" => put(&mut self.bbox[3], &name, text(&name, &bytes)?)?,
            "dilation" => put(&mut self.dilation, &name, text(&name, &bytes)?)?,
            "format" => put(&mut self.format, &name, text(&name, &bytes)?)?,
            _ => {}
        }
        Ok(length)
    }

    /// What they ask of `/inpaint`.
    ///
    /// # Errors
    /// Those of [`ApiError`] that concern the fields.
    pub fn into_request(self) -> Result<Request, ApiError> {
        let dilation = self.dilation(8)?;
        let format = match self.format.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("png") => OutputFormat::Png,
            Some("webp") => OutputFormat::WebP,
            Some("jpg" | "jpeg") => OutputFormat::Jpeg,
            Some(_) => return Err(ApiError::BadFormat),
        };
        let region = match (self.mask, self.bbox) {
            (Some(mask), _) => Region::Mask(mask),
            (None, [None, None, None, None]) => Region::Subject,
            (None, [Some(x), Some(y), Some(w), Some(h)]) => Region::Box {
                x: integer("x", &x)?,
                y: integer("y", &y)?,
                width: integer("w", &w)?,
                height: integer("h", &h)?,
            },
            (None, _) => return Err(ApiError::PartialBox),
        };
        let photo = self.file.ok_or_else(no_file)?;
        Ok(Request { photo, region, dilation, format })
    }

    /// What they ask of `/mask`. Its mask is not grown unless that is asked for: sent to `/inpaint`, it is
    /// grown there.
    ///
    /// # Errors
    /// Those of [`ApiError`] that concern the fields.
    pub fn into_find_request(self) -> Result<FindRequest, ApiError> {
        let dilation = self.dilation(0)?;
        let target = match self.bbox {
            [None, None, None, None] => Target::Subject,
            [Some(x), Some(y), None, None] => Target::Point { x: integer("x", &x)?, y: integer("y", &y)? },
            [Some(x), Some(y), Some(w), Some(h)] => {
                Target::Box([integer("x", &x)?, integer("y", &y)?, integer("w", &w)?, integer("h", &h)?])
            }
            _ => return Err(ApiError::PartialPoint),
        };
        let photo = self.file.ok_or_else(no_file)?;
        Ok(FindRequest { photo, target, dilation })
    }

    fn dilation(&self, default: u32) -> Result<u32, ApiError> {
        match self.dilation.as_deref().map(str::parse) {
            None => Ok(default),
            Some(Ok(dilation)) if dilation <= MAX_DILATION => Ok(dilation),
            Some(_) => Err(ApiError::BadDilation),
        }
    }
}

fn put<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), ApiError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(format!("The field '{name}' is repeated."))),
    }
}

fn text(name: &str, bytes: &[u8]) -> Result<String, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad(format!("The field '{name}' is not text.")))?;
    Ok(text.trim().to_owned())
}

/// An integer of a box. One too large for 64 bits is a number all the same, and outside of any photo.
fn integer(name: &str, text: &str) -> Result<i64, ApiError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad(format!("The field '{name}' is not an integer.")));
    }
    let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(text.parse().unwrap_or(limit))
}

fn no_file() -> ApiError {
    bad("The form has no field 'file'.")
}

fn bad(what: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::BadForm(what.into())
}

fn of_multer(error: multer::Error) -> ApiError {
    use multer::Error as E;
    match error {
        E::StreamSizeExceeded { .. } => ApiError::TooLarge,
        E::FieldSizeExceeded { field_name, .. } => match field_name.as_deref() {
            Some("file" | "mask") => ApiError::TooLarge,
            name => bad(format!("The field '{}' is too long.", name.unwrap_or_default())),
        },
        E::StreamReadFailed(cause) => match cause.downcast_ref::<BodyError>() {
            Some(BodyError::Late) => ApiError::BodyTimeout,
            Some(BodyError::Full) => ApiError::Overloaded,
            Some(BodyError::Header) => bad("The header of a part is too long."),
            _ => bad("The body broke off."),
        },
        E::IncompleteStream | E::IncompleteFieldData { .. } | E::IncompleteHeaders => {
            bad("The form is incomplete.")
        }
        other => bad(format!("The form cannot be read: {other}.")),
    }
}
