//! The service as its callers meet it: every test starts the real server on a port of its own.

mod bad_input;
mod contract;
mod cors;
mod description;
mod ending;
mod erase;
mod exactness;
mod faults;
mod geometry;
mod heic;
mod helpers;
mod holding;
mod limits;
mod mask;
mod operations;
mod pages;
mod photos;
mod program;
mod real_triton;
mod samples;
mod sick;
mod stand_in;
