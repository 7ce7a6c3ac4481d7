//! The steps of a request: a photo and a region in, the photo with the region filled out.

mod find;

pub use find::{FindRequest, Found, Target, find};

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::{join, try_join, try_join_all};
use tokio::{task::spawn_blocking, time::timeout_at};

use crate::{
    composite::{self, Feather},
    gate::{Full, Gate, Permit},
    geometry::Rect,
    mask::Mask,
    picture::{self, Ahead, Excerpt, Header, Limits, Original, OutputFormat, Photo, Picture},
    tile,
    triton::{self, Models, Origin, Tile},
    window::{self, Window},
};

/// The largest dilation a caller may ask for, in pixels.
pub const MAX_DILATION: u32 = 32;

/// A request to erase a region from a photo.
#[derive(Clone, Debug)]
pub struct Request {
    /// The photo's file.
    pub photo: Bytes,
    /// What is to be erased.
    pub region: Region,
    /// Radius of the disc by which the region grows, in pixels of the photo: 0 to [`MAX_DILATION`].
    pub dilation: u32,
    /// The format of the answer.
    pub format: OutputFormat,
}

/// The region to erase, in pixels of the photo as displayed.
#[derive(Clone, Debug)]
pub enum Region {
    /// The light part of a picture, sent as a file.
    Mask(Bytes),
    /// A box, not yet checked: it may extend outside the photo.
    Box {
        /// The leftmost column.
        x: i64,
        /// The topmost row.
        y: i64,
        /// Number of columns.
        width: i64,
        /// Number of rows.
        height: i64,
    },
    /// The subject, as the segmenter finds it.
    Subject,
}

impl Region {
    /// How it was given.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Mask(_) => Mode::Mask,
            Self::Box { .. } => Mode::Bbox,
            Self::Subject => Mode::AutoSubject,
        }
    }
}

/// How a [`Region`] is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Mode {
    /// As a mask.
    Mask,
    /// As a box.
    Bbox,
    /// As a point.
    Point,
    /// As the photo's subject.
    AutoSubject,
}

impl Mode {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub struct Done {
    /// The filled photo's file, in the format asked for.
    pub bytes: Vec<u8>,
    /// The label of the model that filled it, as the replica that ran it reports.
    pub model: String,
    /// What the caller should know about the result.
    pub warnings: Vec<String>,
    /// How long each step took.
    pub timings: Timings,
}

/// How long the steps of a request took, in the order in which each first ended. Steps can overlap.
#[derive(Clone, Debug, Default)]
pub struct Timings(Vec<(&'static str, Duration)>);

impl Timings {
    /// The steps and their times.
    pub fn steps(&self) -> &[(&'static str, Duration)] {
        &self.0
    }

    fn add(&mut self, step: &'static str, since: Instant) {
        let time = since.elapsed();
        match self.0.iter_mut().find(|(name, _)| *name == step) {
            Some((_, sum)) => *sum += time,
            None => self.0.push((step, time)),
        }
    }
}

/// What the request log records, as far as the request got.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The photo's format and size.
    pub photo: Option<Header>,
    /// The replicas that found the subject or filled windows.
    pub replicas: BTreeSet<SocketAddr>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mask has no pixel.
    #[error("Mask has no pixels to inpaint.")]
    EmptyMask,
    /// The box is empty or extends outside the photo.
    #[error("bbox extends outside the image.")]
    BoxOutside,
    /// The point lies outside the photo.
    #[error("The point lies outside the image.")]
    PointOutside,
    /// The segmenter found nothing.
    #[error("No subject detected. Send mask or bbox instead.")]
    NoSubject,
    /// The photo cannot be used.
    #[error(transparent)]
    Photo(picture::Error),
    /// The mask cannot be used.
    #[error("mask: {0}")]
    Mask(picture::Error),
    /// The queue is full.
    #[error(transparent)]
    Overloaded(#[from] Full),
    /// The deadline passed in the queue or during a step.
    #[error("the deadline passed in the queue or in a step")]
    Late,
    /// The model could not be called or failed.
    #[error(transparent)]
    Model(#[from] triton::Error),
    /// A failure of the gateway itself.
    #[error("{0}")]
    Internal(String),
}

/// What all requests share.
#[derive(Debug)]
pub struct Workshop {
    /// The largest photos and masks accepted.
    pub limits: Limits,
    /// Admission to the work.
    pub gate: Gate,
    /// The models, on Triton.
    pub models: Models,
}

/// Erases the region before `deadline`. What the request log needs is put into `facts` on the way, so that
/// a failed request is logged with it too.
///
/// # Errors
/// See [`Error`].
pub async fn run(
    request: Request,
    workshop: &Workshop,
    deadline: Instant,
    facts: &mut Facts,
) -> Result<Done, Error> {
    let limits = &workshop.limits;
    let header = picture::inspect(&request.photo, limits).map_err(Error::Photo)?;
    facts.photo = Some(header);
    let mask_header = match &request.region {
        Region::Mask(file) => Some(picture::inspect(file, limits).map_err(Error::Mask)?),
        Region::Box { .. } | Region::Subject => None,
    };
    let decoded = header.decoded + mask_header.map_or(0, |header| header.decoded);
    let mut context = RequestContext::enter(decoded, workshop, deadline, facts).await?;

    let original = request.photo.clone();
    let (photo, mask) = match request.region {
        Region::Mask(file) => {
            let opened = context.open(request.photo, header, request.format);
            let (photo, mask) = join(opened, context.decode_mask(file, mask_header)).await;
            let photo = photo?;
            let mask = context.fit_mask(mask?, &photo).await?;
            (photo, mask)
        }
        Region::Box { x, y, width, height } => {
            let photo = context.open(request.photo, header, request.format).await?;
            let size = photo.size();
            let rect = rect_within(size, [x, y, width, height]).ok_or(Error::BoxOutside)?;
            (photo, Mask::from_rect(size.0, size.1, rect))
        }
        Region::Subject => {
            let picture = context.decode(request.photo, header).await?;
            let (picture, mask, _) = context.subject(picture).await?;
            (Photo::from(picture), mask)
        }
    };
    let (feather, windows) = context.plan(mask, request.dilation).await?;
    let hole = feather.hole().clone();
    let (picture, excerpt, feather, windows) = context.decode_shown(photo, feather, windows).await?;
    let (picture, ahead, model) = context.fill(picture, feather, windows, request.format).await?;
    let share = hole.count() as f64 / (u64::from(hole.width()) * u64::from(hole.height())) as f64;
    let encoded = context.encode((original, header, excerpt), (picture, ahead), hole, request.format).await?;

    let half = (share > 0.5).then(|| format!("hole covers {:.0}% of the image", share * 100.0));
    let others = std::mem::take(&mut context.warnings).into_iter().chain(encoded.warnings).map(str::to_owned);
    let warnings = half.into_iter().chain(others).collect();
    Ok(Done { bytes: encoded.bytes, model, warnings, timings: context.timings() })
}

/// A caller's box (x, y, width, height) as a rectangle, if it is not empty and lies inside the photo.
fn rect_within(photo: (u32, u32), [x, y, width, height]: [i64; 4]) -> Option<Rect> {
    let inside = |start: i64, length: i64, limit: u32| {
        let end = start.checked_add(length)?;
        (start >= 0 && length > 0 && end <= i64::from(limit)).then_some(())?;
        Some((u32::try_from(start).ok()?, u32::try_from(length).ok()?))
    };
    let (x, width) = inside(x, width, photo.0)?;
    let (y, height) = inside(y, height, photo.1)?;
    Some(Rect { x, y, width, height })
}

/// The state that the steps of one request share.
struct RequestContext<'a> {
    permit: Arc<Permit>,
    models: &'a Models,
    deadline: Instant,
    /// Concurrent steps add to them.
    timings: Mutex<Timings>,
    facts: &'a mut Facts,
    /// Warnings for the caller, so far.
    warnings: Vec<&'static str>,
}

impl<'a> RequestContext<'a> {
    /// Waits for admission of a request whose pictures take `decoded` bytes.
    async fn enter(
        decoded: u64,
        Workshop { gate, models, .. }: &'a Workshop,
        deadline: Instant,
        facts: &'a mut Facts,
    ) -> Result<RequestContext<'a>, Error> {
        let mut timings = Timings::default();
        let queued = Instant::now();
        let permit = timeout_at(deadline.into(), gate.enter(decoded)).await.map_err(|_| Error::Late)??;
        timings.add("queue", queued);
        let timings = Mutex::new(timings);
        Ok(Self { permit: Arc::new(permit), models, deadline, timings, facts, warnings: vec![] })
    }

    async fn open(&self, file: Bytes, header: Header, format: OutputFormat) -> Result<Photo, Error> {
        let deadline = self.deadline;
        let open = move || Photo::open(file, &header, format, deadline);
        self.work("decode", open).await?.map_err(Error::Photo)
    }

    async fn decode(&self, file: Bytes, header: Header) -> Result<Picture, Error> {
        let deadline = self.deadline;
        self.work("decode", move || picture::decode(&file, &header, deadline)).await?.map_err(Error::Photo)
    }

    async fn decode_mask(&self, file: Bytes, header: Option<Header>) -> Result<Picture, Error> {
        let header = header.ok_or_else(|| Error::Internal("a mask that was not inspected".to_owned()))?;
        let deadline = self.deadline;
        self.work("mask", move || picture::decode(&file, &header, deadline)).await?.map_err(Error::Mask)
    }

    /// The mask of `photo` in a decoded mask file.
    async fn fit_mask(&mut self, mut mask: Picture, photo: &Photo) -> Result<Mask, Error> {
        let (size, orientation) = (photo.size(), photo.orientation());
        let mask = self.work("mask", move || {
            let warning = mask.fit(size, orientation);
            let mask = Mask::from_levels(mask.width(), mask.height(), &mask.luma8_over_black(), 128);
            (mask.resized(size.0, size.1), warning)
        });
        let (mask, warning) = mask.await?;
        self.warnings.extend(warning);
        if mask.is_empty() { Err(Error::EmptyMask) } else { Ok(mask) }
    }

    async fn plan(&self, mask: Mask, dilation: u32) -> Result<(Feather, Vec<Window>), Error> {
        self.work("mask", move || {
            let feather = Feather::new(&mask, dilation);
            let windows = window::plan(feather.hole());
            (feather, windows)
        })
        .await
    }

    /// Decodes what the windows show, and moves windows and feather into its coordinates.
    async fn decode_shown(
        &self,
        photo: Photo,
        feather: Feather,
        windows: Vec<Window>,
    ) -> Result<(Picture, Option<Excerpt>, Feather, Vec<Window>), Error> {
        let shown = self.work("decode", move || {
            let whole = Rect::of_size(photo.size().0, photo.size().1);
            let sources = windows.iter().map(|window| window.source);
            let shown = sources.reduce(|all, source| all.union(&source)).unwrap_or(whole);
            let (picture, part, excerpt) = photo.into_part(shown)?;
            if part == whole {
                return Ok((picture, excerpt, feather, windows));
            }
            let windows = windows.into_iter().map(|window| window.within(part)).collect();
            Ok((picture, excerpt, feather.crop(part), windows))
        });
        shown.await?.map_err(Error::Photo)
    }

    /// Fills the hole wave by wave: the windows of a wave are filled concurrently, and each wave sees what
    /// the waves before it filled. While Triton works on the first, what the fill will not change is encoded.
    async fn fill(
        &mut self,
        mut photo: Picture,
        feather: Feather,
        windows: Vec<Window>,
        format: OutputFormat,
    ) -> Result<(Picture, Ahead, String), Error> {
        let feather = Arc::new(feather);
        let mut open = feather.hole().clone();
        let mut model = String::new();
        let mut ahead = None;
        for wave in windows.chunk_by(|a, b| a.wave == b.wave) {
            let wave = wave.to_vec();
            let cut = self.work("composite", move || {
                let tiles: Vec<_> = wave.iter().map(|window| tile::cut(&photo, &open, window)).collect();
                (photo, open, wave, tiles)
            });
            let (cut_photo, mut still_open, wave, tiles) = cut.await?;
            // Windows that are scaled down need their input again, to add detail to the fill.
            let scaled = |(window, tile): (&Window, &Tile)| window.is_scaled().then(|| tile.clone());
            let shown: Vec<_> = wave.iter().zip(&tiles).map(scaled).collect();

            let shared = Arc::new(cut_photo);
            let encoded = async {
                match ahead.take() {
                    Some(ahead) => Ok(ahead),
                    None => self.encode_ahead(&shared, &feather, format).await,
                }
            };
            let (fills, encoded) = try_join(self.infer(tiles), encoded).await?;
            ahead = Some(encoded);
            let (fills, origins): (Vec<_>, Vec<_>) = fills.into_iter().unzip();
            self.facts.replicas.extend(origins.iter().map(|origin| origin.replica));
            model = origins.into_iter().next_back().map_or(model, |origin| origin.label);

            let feather = Arc::clone(&feather);
            let paste = self.work("composite", move || {
                let mut photo = Arc::unwrap_or_clone(shared);
                for ((window, fill), shown) in wave.iter().zip(fills).zip(shown) {
                    let fill = match shown {
                        Some(shown) => tile::enlarged(&photo, &still_open, shown, &fill, window),
                        None => tile::uncut(&fill, window),
                    };
                    composite::paste(&mut photo, &fill, window.core, &still_open, &feather);
                    still_open.clear_rect(window.core);
                }
                (photo, still_open)
            });
            (photo, open) = paste.await?;
        }
        Ok((photo, ahead.unwrap_or_default(), model))
    }

    async fn infer(&self, tiles: Vec<Tile>) -> Result<Vec<(Bytes, Origin)>, Error> {
        let called = Instant::now();
        let fills = tiles.into_iter().map(|tile| self.models.inpaint(tile, self.deadline.into()));
        let fills = try_join_all(fills).await?;
        self.add_time("inpaint", called);
        Ok(fills)
    }

    async fn encode_ahead(
        &self,
        photo: &Arc<Picture>,
        feather: &Arc<Feather>,
        format: OutputFormat,
    ) -> Result<Ahead, Error> {
        if format != OutputFormat::Png {
            return Ok(Ahead::default());
        }
        let (photo, feather) = (Arc::clone(photo), Arc::clone(feather));
        self.work("encode", move || picture::encode_ahead(&photo, format, feather.hole())).await
    }

    async fn encode(
        &self,
        (file, header, excerpt): (Bytes, Header, Option<Excerpt>),
        (photo, ahead): (Picture, Ahead),
        hole: Mask,
        format: OutputFormat,
    ) -> Result<picture::Encoded, Error> {
        let encode = move || {
            let original = Original { file: &file, header, excerpt: excerpt.as_ref() };
            picture::encode(photo, ahead, format, &original, &hole)
        };
        let encoded = self.work("encode", encode).await?;
        encoded.map_err(|error| Error::Internal(error.to_string()))
    }

    fn timings(self) -> Timings {
        self.timings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_time(&self, step: &'static str, since: Instant) {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner).add(step, since);
    }

    /// Runs a step on a blocking thread. The permit moves there with it: when a caller hangs up, nobody else
    /// is admitted until the step has ended. A panic in the step fails this request only.
    async fn work<T: Send + 'static>(
        &self,
        step: &'static str,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let queued = Instant::now();
        // No work is begun after the deadline.
        let slot = timeout_at(self.deadline.into(), self.permit.cpu()).await.map_err(|_| Error::Late)?;
        self.in_time()?;
        self.add_time("queue", queued);
        let started = Instant::now();
        let permit = Arc::clone(&self.permit);
        let span = tracing::info_span!("step", otel.name = step);
        let done = spawn_blocking(move || {
            let _held = (permit, slot);
            span.in_scope(run)
        });
        // A step that outlives the deadline keeps its permit until it ends. That is soon: every step of our
        // own is bounded, and the HEIC decoder's process is killed.
        let done = timeout_at(self.deadline.into(), done).await.map_err(|_| Error::Late)?;
        let done = done.map_err(|error| Error::Internal(format!("{step}: {error}")))?;
        self.add_time(step, started);
        self.in_time()?;
        Ok(done)
    }

    fn in_time(&self) -> Result<(), Error> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(Error::Late) }
    }
}
