//! Erases regions of photos: a gateway that decodes, masks, cuts windows, composites and encodes, in
//! front of NVIDIA Triton, which runs the networks.

/// The whole service: built from its settings, run until it is told to end.
pub mod app;
/// What the program does beside serving.
pub mod command;
/// Putting a fill into the photo.
pub mod composite;
/// Settings.
pub mod config;
/// A folder of photos through the API, as any client would send them.
pub mod erase;
/// Admission: how much may be worked on at once.
pub mod gate;
/// Rectangles of pixels.
pub mod geometry;
/// The API over HTTP.
pub mod http;
/// The way of a request.
pub mod inpaint;
/// Which pixels are to be filled.
pub mod mask;
/// Photos: decoding and encoding.
pub mod picture;
/// This process beside others on its machine.
pub mod process;
#[cfg(test)]
mod rooms;
/// Logs and metrics.
pub mod telemetry;
/// Between the photo and the model.
pub mod tile;
/// Typed calls to the networks on Triton.
pub mod triton;
/// Which squares of the photo the model sees.
pub mod window;
