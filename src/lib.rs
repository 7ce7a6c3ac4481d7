//! Erases regions of photos: a gateway that decodes, masks, cuts windows, composites and encodes, in front of
//! NVIDIA Triton, which runs the models.

/// The whole service: built from its settings, run, and drained at shutdown.
pub mod app;
/// Commands other than serving.
pub mod command;
/// Blends a fill into the photo.
pub mod composite;
/// Settings: flags, environment variables and their checks.
pub mod config;
/// `lacuna erase`: sends a folder of photos through the API.
pub mod erase;
/// Admission control: how much may be in flight at once.
pub mod gate;
/// Pixel rectangles.
pub mod geometry;
/// The HTTP API.
pub mod http;
/// The pipeline of a request.
pub mod inpaint;
/// Bitmaps of the pixels to fill.
pub mod mask;
/// Decoding and encoding of photos.
pub mod picture;
/// Process-wide matters: environment, file limits, memory.
pub mod process;
#[cfg(test)]
mod rooms;
/// Logs, metrics and traces.
pub mod telemetry;
/// Converts between the photo and a model's input and output.
pub mod tile;
/// Typed calls to the models on Triton.
pub mod triton;
/// Chooses the squares of the photo that the model sees.
pub mod window;
