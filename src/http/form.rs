//! Request bodies: a bounded multipart form, parsed into a request.

use std::{
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

use super::{
    api::{Endpoint, FORMATS, Field, Kind, default_dilation},
    error::ApiError,
    problem::Problem,
};
use crate::{
    gate::{Budget, Reservation},
    inpaint::{FindRequest, MAX_DILATION, Region, Request, Target},
    picture::{Limits, OutputFormat},
};

/// Deadline for a whole body.
pub const WHOLE_BODY: Duration = Duration::from_mins(2);
/// Longest pause between two chunks.
pub const STALL: Duration = Duration::from_secs(15);
/// Bytes allowed for everything but the two files.
const REST: u64 = 256 * 1024;
/// Bytes allowed for a field that is not a file.
pub const MAX_FIELD: u64 = 8 * 1024;
/// Fields allowed in a form, known or not.
pub const MAX_FIELDS: usize = 64;
/// Limits on what lies between fields (boundaries and part headers), summed over the form: bytes, and how
/// many times the parser may have to wait there, since it rescans what it has with every chunk.
const MAX_BETWEEN: u64 = 64 * 1024;
const MAX_PIECES: u32 = 1024;
/// How much of a refused body is still read, and for how long: many clients look for a response only once
/// they have sent everything.
const LINGER_BYTES: u64 = 30 << 20;
const LINGER_TIME: Duration = Duration::from_secs(10);

/// A request body as it streams in.
pub struct Body {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>,
    deadline: Instant,
    /// Bytes read so far.
    read: u64,
    /// Memory reserved for what was read, until the request ends.
    reserved: Option<Reservation>,
    ended: bool,
    parsed: Arc<Parsed>,
    /// How many times the parser had to wait for more between two fields.
    pieces: u32,
}

/// How far the parser is.
#[derive(Debug, Default)]
struct Parsed {
    /// Inside a field, as opposed to looking for the next part's header.
    in_field: AtomicBool,
    /// Bytes in the fields parsed so far.
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
    /// Starts the deadline.
    pub fn new<B: Buf>(chunks: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Self {
        let chunks = chunks.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining())));
        let deadline = Instant::now() + WHOLE_BODY;
        Self {
            chunks: Box::pin(chunks),
            deadline,
            read: 0,
            reserved: None,
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

    /// The next chunk, with memory reserved for it.
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
        // The parser only waits once it has scanned everything it has.
        if waited && !self.parsed.in_field.load(Ordering::Relaxed) {
            self.pieces += 1;
            let between = before.saturating_sub(self.parsed.fields.load(Ordering::Relaxed));
            if between > MAX_BETWEEN || self.pieces > MAX_PIECES {
                return Some(Err(BodyError::Header));
            }
        }
        let room = chunk.as_ref().map_or(Ok(()), |bytes| uploads.take(bytes.len(), &mut self.reserved));
        Some(room.map_err(|_| BodyError::Full).and(chunk))
    }

    /// Discards the rest of a refused body, within limits and in the background. Does nothing if the client
    /// sent `expect: 100-continue` and is still waiting for our go-ahead.
    pub fn linger(mut self, headers: &HeaderMap) {
        let waiting = self.read == 0 && headers.contains_key(header::EXPECT);
        if self.ended || waiting {
            return;
        }
        self.reserved = None;
        tokio::spawn(timeout(LINGER_TIME, async move {
            let limit = self.read + LINGER_BYTES;
            while self.read < limit && matches!(self.next().await, Some(Ok(_))) {}
        }));
    }
}

/// The fields of a form that its endpoint knows.
pub struct Form {
    endpoint: Endpoint,
    limits: Limits,
    values: Vec<(Field, Bytes)>,
}

/// Reads the form within the `uploads` budget. Fields that the endpoint does not know are ignored.
///
/// # Errors
/// The [`ApiError`]s about bodies and forms.
pub async fn read(
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &mut Body,
    uploads: &Budget,
    limits: Limits,
) -> Result<Form, ApiError> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| bad(Problem::NotAForm))?;
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(bad(Problem::CompressedBody));
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let largest = limits.bytes as u64;
    let whole = 2 * largest + REST;
    if length.is_some_and(|length| length > whole) {
        return Err(ApiError::TooLarge(limits));
    }

    let parsed = Arc::clone(&body.parsed);
    let chunks = stream::unfold(body, |body| async { body.keep(uploads).await.map(|chunk| (chunk, body)) });
    let sizes = SizeLimit::new().whole_stream(whole).per_field(MAX_FIELD);
    let sizes = pictures(endpoint).fold(sizes, |sizes, field| sizes.for_field(field.name(), largest));
    let mut form = Multipart::with_constraints(chunks, boundary, Constraints::new().size_limit(sizes));
    let mut fields = Form { endpoint, limits, values: vec![] };
    let mut count = 0;
    while let Some(field) = form.next_field().await.map_err(|error| fields.of_multer(error))? {
        count += 1;
        if count > MAX_FIELDS {
            return Err(bad(Problem::TooManyFields));
        }
        parsed.in_field.store(true, Ordering::Relaxed);
        let taken = fields.take(field).await?;
        parsed.fields.fetch_add(taken, Ordering::Relaxed);
        parsed.in_field.store(false, Ordering::Relaxed);
    }
    Ok(fields)
}

/// An endpoint's file fields.
fn pictures(endpoint: Endpoint) -> impl Iterator<Item = Field> {
    endpoint.fields().iter().copied().filter(|field| matches!(field.kind(), Kind::Picture))
}

impl Form {
    /// Stores a field and returns its length in bytes.
    async fn take(&mut self, part: multer::Field<'_>) -> Result<u64, ApiError> {
        let field = self.endpoint.fields().iter().copied().find(|field| part.name() == Some(field.name()));
        let chosen = part.file_name() != Some("");
        let bytes = part.bytes().await.map_err(|error| self.of_multer(error))?;
        let length = bytes.len() as u64;
        let Some(field) = field else { return Ok(length) };
        // Browsers send an empty file without a name if none was chosen.
        if !field.required() && !chosen && bytes.is_empty() {
            return Ok(length);
        }
        if self.values.iter().any(|(other, _)| *other == field) {
            return Err(of_field(Problem::RepeatedField, field));
        }
        if !matches!(field.kind(), Kind::Picture) && std::str::from_utf8(&bytes).is_err() {
            return Err(of_field(Problem::NotText, field));
        }
        self.values.push((field, bytes));
        Ok(length)
    }

    fn of_multer(&self, error: multer::Error) -> ApiError {
        use multer::Error as E;
        match error {
            E::StreamSizeExceeded { .. } => ApiError::TooLarge(self.limits),
            E::FieldSizeExceeded { field_name, .. } => {
                let name = field_name.unwrap_or_default();
                match pictures(self.endpoint).any(|field| field.name() == name) {
                    true => ApiError::TooLarge(self.limits),
                    false => ApiError::Form(Problem::LongField, name),
                }
            }
            E::StreamReadFailed(cause) => match cause.downcast_ref::<BodyError>() {
                Some(BodyError::Late) => bad(Problem::BodyTimeout),
                Some(BodyError::Full) => ApiError::Overloaded,
                Some(BodyError::Header) => bad(Problem::LongPartHeader),
                _ => bad(Problem::BrokenBody),
            },
            E::IncompleteStream | E::IncompleteFieldData { .. } | E::IncompleteHeaders => {
                bad(Problem::IncompleteForm)
            }
            other => ApiError::Form(Problem::MalformedForm, other.to_string()),
        }
    }

    fn value(&self, field: Field) -> Option<Bytes> {
        assert!(
            self.endpoint.fields().contains(&field),
            "a field that the endpoint does not have. This is a bug."
        );
        self.values.iter().find(|(other, _)| *other == field).map(|(_, bytes)| bytes.clone())
    }

    fn text(&self, field: Field) -> Option<String> {
        self.value(field).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn photo(&self) -> Result<Bytes, ApiError> {
        self.value(Field::File).ok_or_else(|| bad(Problem::NoFile))
    }

    fn dilation(&self) -> Result<u32, ApiError> {
        let Some(text) = self.text(Field::Dilation) else {
            return Ok(default_dilation(self.endpoint));
        };
        match text.parse() {
            Ok(dilation) if dilation <= MAX_DILATION => Ok(dilation),
            _ => Err(bad(Problem::BadDilation)),
        }
    }

    fn format(&self) -> Result<OutputFormat, ApiError> {
        let Some(text) = self.text(Field::Format) else { return Ok(OutputFormat::default()) };
        let format = FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        format.map(|(_, format)| *format).ok_or_else(|| bad(Problem::BadFormat))
    }

    fn region(&self) -> Result<Region, ApiError> {
        if let Some(mask) = self.value(Field::Mask) {
            return Ok(Region::Mask(mask));
        }
        match [Field::X, Field::Y, Field::W, Field::H].map(|field| self.text(field)) {
            [None, None, None, None] => Ok(Region::Subject),
            [Some(x), Some(y), Some(w), Some(h)] => Ok(Region::Box {
                x: integer(Field::X, &x)?,
                y: integer(Field::Y, &y)?,
                width: integer(Field::W, &w)?,
                height: integer(Field::H, &h)?,
            }),
            _ => Err(bad(Problem::PartialBox)),
        }
    }

    fn target(&self) -> Result<Target, ApiError> {
        match [Field::X, Field::Y, Field::W, Field::H].map(|field| self.text(field)) {
            [None, None, None, None] => Ok(Target::Subject),
            [Some(x), Some(y), None, None] => {
                Ok(Target::Point { x: integer(Field::X, &x)?, y: integer(Field::Y, &y)? })
            }
            [Some(x), Some(y), Some(w), Some(h)] => Ok(Target::Box([
                integer(Field::X, &x)?,
                integer(Field::Y, &y)?,
                integer(Field::W, &w)?,
                integer(Field::H, &h)?,
            ])),
            _ => Err(bad(Problem::PartialPoint)),
        }
    }

    /// Validates the fields of `/mask`.
    ///
    /// # Errors
    /// The [`ApiError`]s about fields.
    pub fn into_find_request(self) -> Result<FindRequest, ApiError> {
        let (dilation, target) = (self.dilation()?, self.target()?);
        Ok(FindRequest { photo: self.photo()?, target, dilation })
    }

    /// Validates the fields of `/inpaint`.
    ///
    /// # Errors
    /// The [`ApiError`]s about fields.
    pub fn into_request(self) -> Result<Request, ApiError> {
        let (dilation, format, region) = (self.dilation()?, self.format()?, self.region()?);
        Ok(Request { photo: self.photo()?, region, dilation, format })
    }
}

/// Parses a coordinate. One that overflows 64 bits is still an integer, just outside any photo.
fn integer(field: Field, text: &str) -> Result<i64, ApiError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(of_field(Problem::NotAnInteger, field));
    }
    let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(text.parse().unwrap_or(limit))
}

fn bad(problem: Problem) -> ApiError {
    ApiError::Form(problem, String::new())
}

fn of_field(problem: Problem, field: Field) -> ApiError {
    ApiError::Form(problem, field.name().to_owned())
}
