//! Finding what a photo shows: its subject, or the object at a point or in a box, as a mask.

use std::time::Instant;

use bytes::Bytes;
use image::{DynamicImage, GrayImage};

use super::{Error, Facts, Mode, RequestContext, Timings, Workshop, rect_within};
use crate::{
    geometry::Rect,
    mask::Mask,
    picture::{self, Colour, Picture},
    tile,
};

/// A mask that covers less than one in so many pixels of the segmented area counts as no subject.
const LEAST_SUBJECT: u64 = 1000;

/// For a point, the whole photo is segmented first, then squares around the point whose side is the photo's
/// longer side divided by these: an object that is not salient in the whole photo may be so in a crop.
const CLOSER: [u32; 2] = [2, 4];

/// How far from a point its object may be: the longer side of the segmented area divided by this. Clicks
/// and taps miss by a little.
const REACH: u32 = 64;

/// A request for the mask of an object.
#[derive(Clone, Debug)]
pub struct FindRequest {
    /// The photo's file.
    pub photo: Bytes,
    /// What is to be found.
    pub target: Target,
    /// Radius of the disc by which the mask is grown, in pixels of the photo: 0 to [`super::MAX_DILATION`].
    pub dilation: u32,
}

/// The object to find, in pixels of the photo as displayed.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// The object at a point, not yet checked: it may lie outside the photo.
    Point {
        /// The column.
        x: i64,
        /// The row.
        y: i64,
    },
    /// The object in a box (x, y, width, height), not yet checked either.
    Box([i64; 4]),
    /// The subject.
    Subject,
}

impl Target {
    /// How it was given.
    pub fn mode(self) -> Mode {
        match self {
            Self::Point { .. } => Mode::Point,
            Self::Box(_) => Mode::Bbox,
            Self::Subject => Mode::AutoSubject,
        }
    }
}

/// The answer to a [`FindRequest`].
#[derive(Debug)]
pub struct Found {
    /// The mask's file: a grey PNG of the photo's size, white where something was found.
    pub png: Vec<u8>,
    /// The label of the model that found it.
    pub model: String,
    /// How long each step took.
    pub timings: Timings,
}

/// Finds the object before `deadline`. `facts` is for the request log, as in [`run`](super::run).
///
/// # Errors
/// See [`Error`].
pub async fn find(
    request: FindRequest,
    workshop: &Workshop,
    deadline: Instant,
    facts: &mut Facts,
) -> Result<Found, Error> {
    let header = picture::inspect(&request.photo, &workshop.limits).map_err(Error::Photo)?;
    facts.photo = Some(header);
    let mut context = RequestContext::enter(header.decoded, workshop, deadline, facts).await?;
    let photo = context.decode(request.photo, header).await?;
    let (_, mask, model) = match request.target {
        Target::Subject => context.subject(photo).await?,
        Target::Point { x, y } => {
            let point =
                rect_within((photo.width(), photo.height()), [x, y, 1, 1]).ok_or(Error::PointOutside)?;
            context.object_at(photo, (point.x, point.y)).await?
        }
        Target::Box(sides) => {
            let rect = rect_within((photo.width(), photo.height()), sides).ok_or(Error::BoxOutside)?;
            context.object_in(photo, rect).await?
        }
    };
    let png = context.work("encode", move || encode(&mask.dilate(request.dilation))).await?;
    Ok(Found { png, model, timings: context.timings() })
}

fn encode(mask: &Mask) -> Vec<u8> {
    let mut levels = GrayImage::new(mask.width(), mask.height());
    for (y, row) in levels.rows_mut().enumerate() {
        let mut row: Vec<_> = row.collect();
        mask.runs(y as u32, 0, mask.width(), |from, to| {
            row[from as usize..to as usize].iter_mut().for_each(|level| level.0 = [255]);
        });
    }
    png_strips::encode(&DynamicImage::ImageLuma8(levels), &Colour::default())
}

/// The photo, the mask of the object, and the label of the model that found it.
type Answer = (Picture, Mask, String);

impl RequestContext<'_> {
    /// The subject of the whole photo.
    pub(super) async fn subject(&mut self, photo: Picture) -> Result<Answer, Error> {
        let whole = photo.area();
        let (photo, mask, model) = self.segment(photo, whole).await?;
        match mask.count() * LEAST_SUBJECT < whole.area() {
            true => Err(Error::NoSubject),
            false => Ok((photo, mask, model)),
        }
    }

    /// The connected component of the segmentation at or near a point.
    async fn object_at(&mut self, mut photo: Picture, point: (u32, u32)) -> Result<Answer, Error> {
        let whole = photo.area();
        for rect in around(point, whole) {
            let (same, found, model) = self.segment(photo, rect).await?;
            photo = same;
            let at = (point.0 - rect.x, point.1 - rect.y);
            let reach = rect.width.max(rect.height) / REACH;
            if let Some(part) = found.part_near(at, reach).filter(is_object) {
                let mask = part.placed((rect.x, rect.y), (whole.width, whole.height));
                return Ok((photo, mask, model));
            }
        }
        Err(Error::NoSubject)
    }

    /// The segmentation inside a box. The segmenter sees some of its surroundings too.
    async fn object_in(&mut self, photo: Picture, inside: Rect) -> Result<Answer, Error> {
        let whole = photo.area();
        let rect = inside.grown(inside.width.max(inside.height).div_ceil(4), whole);
        let (photo, found, model) = self.segment(photo, rect).await?;
        let inside_rect = Rect { x: inside.x - rect.x, y: inside.y - rect.y, ..inside };
        let found = found.crop(inside_rect);
        match found.is_empty() || found.count() * LEAST_SUBJECT < inside.area() {
            true => Err(Error::NoSubject),
            false => Ok((photo, found.placed((inside.x, inside.y), (whole.width, whole.height)), model)),
        }
    }

    /// Segments the pixels of `rect`. The mask has the size of `rect` and may be empty.
    async fn segment(&mut self, photo: Picture, rect: Rect) -> Result<Answer, Error> {
        let (photo, input) = self
            .work("segment", move || {
                let input = tile::for_segmenter(&photo, rect);
                (photo, input)
            })
            .await?;
        let called = Instant::now();
        let (alpha, origin) = self.models.segment(input, self.deadline.into()).await?;
        self.facts.replicas.insert(origin.replica);
        self.add_time("segment", called);
        let mask = self.work("segment", move || tile::subject(&alpha, rect.width, rect.height)).await?;
        Ok((photo, mask, origin.label))
    }
}

/// The areas to segment for a point, in order: the whole photo, then smaller crops around the point.
fn around(point: (u32, u32), whole: Rect) -> Vec<Rect> {
    let longer = whole.width.max(whole.height);
    let span = |at: u32, side: u32, limit: u32| {
        let length = side.min(limit);
        (at.saturating_sub(length / 2).min(limit - length), length)
    };
    let closer = CLOSER.iter().map(|part| (longer / part).max(1)).map(|side| {
        let (x, width) = span(point.0, side, whole.width);
        let (y, height) = span(point.1, side, whole.height);
        Rect { x, y, width, height }
    });
    std::iter::once(whole).chain(closer).collect()
}

/// Whether a component is a plausible object: neither a speck nor nearly the whole area.
fn is_object(part: &Mask) -> bool {
    let all = u64::from(part.width()) * u64::from(part.height());
    part.count() * LEAST_SUBJECT >= all && part.count() * 20 <= all * 19
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_looked_at_holds_the_point_and_lies_in_the_photo() {
        for (width, height) in [(1, 1), (3, 900), (640, 427), (4096, 4096)] {
            let whole = Rect::of_size(width, height);
            for point in [(0, 0), (width - 1, height - 1), (width / 2, height / 3)] {
                for rect in around(point, whole) {
                    let at = Rect { x: point.0, y: point.1, width: 1, height: 1 };
                    assert_eq!(rect.intersection(&at), Some(at), "{rect:?} in {whole:?}");
                    assert_eq!(rect.intersection(&whole), Some(rect), "{rect:?} in {whole:?}");
                }
            }
        }
    }
}
