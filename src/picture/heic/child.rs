//! The decoder's process: libheif in a sandbox.
//!
//! Before the first byte of the file is read, the process gives up everything but memory, threads and the
//! three streams it was started with. A file that exploits the decoder can then do no more than answer its
//! own sender with a wrong picture.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    process::ExitCode,
    time::Duration,
};

use libheif_rs::{ColorSpace, DecodingOptions, HeifContext, LibHeif, RgbChroma, SecurityLimits};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{PICTURE, REFUSED};

/// Limits of processor time, in seconds, and of elapsed time.
const MAX_CPU: u64 = 30;
const MAX_CLOCK: Duration = Duration::from_mins(1);
/// Threads that decode tiles concurrently; each has one more of the decoder's own.
const THREADS: usize = 4;

/// Reads a HEIC file from standard input, decodes it within `memory` bytes and `milliseconds`, and writes the
/// response to standard output. For a process that does nothing else.
pub fn decode_from_stdin(memory: u64, milliseconds: u64) -> ExitCode {
    let time = Duration::from_millis(milliseconds).min(MAX_CLOCK);
    match confine(memory, time).and_then(|()| answer(memory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(memory: u64) -> Result<(), String> {
    let mut file = Vec::new();
    io::stdin().read_to_end(&mut file).map_err(|error| error.to_string())?;
    let mut out = io::stdout().lock();
    let written = match decode(&file, memory) {
        Ok(picture) => write_picture(&mut out, &picture),
        Err(why) => out.write_all(&[REFUSED]).and_then(|()| out.write_all(why.as_bytes())),
    };
    written.and_then(|()| out.flush()).map_err(|error| error.to_string())
}

/// A decoded picture: channels interleaved, two native-endian bytes per sample if it is `deep`.
struct Decoded {
    width: u32,
    height: u32,
    alpha: bool,
    deep: bool,
    /// Primaries and transfer function (ITU-T H.273); 0 if the file has none.
    points: [u32; 2],
    icc: Vec<u8>,
    samples: Vec<u8>,
}

fn write_picture(out: &mut impl Write, picture: &Decoded) -> io::Result<()> {
    let (channels, bits) = (if picture.alpha { 4 } else { 3 }, if picture.deep { 16 } else { 8 });
    let [primaries, transfer] = picture.points;
    let icc = picture.icc.len() as u32;
    let numbers = [picture.width, picture.height, channels, bits, primaries, transfer, icc];
    out.write_all(&[PICTURE])?;
    out.write_all(&numbers.map(u32::to_le_bytes).concat())?;
    out.write_all(&picture.icc)?;
    out.write_all(&picture.samples)
}

/// The primary image.
fn decode(file: &[u8], memory: u64) -> Result<Decoded, String> {
    let text = |error: libheif_rs::HeifError| error.to_string();
    let mut context = HeifContext::new().map_err(text)?;
    let mut limits = SecurityLimits::new();
    limits.set_max_total_memory(memory);
    context.set_security_limits(&limits).map_err(text)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    context.set_max_decoding_threads(threads as u32);
    context.read_bytes(file).map_err(text)?;
    let handle = context.primary_image_handle().map_err(text)?;

    let alpha = handle.has_alpha_channel();
    let deep = handle.luma_bits_per_pixel() > 8;
    let chroma = match (deep, alpha) {
        (false, false) => RgbChroma::Rgb,
        (false, true) => RgbChroma::Rgba,
        (true, false) => RgbChroma::HdrRgbLe,
        (true, true) => RgbChroma::HdrRgbaLe,
    };
    let library = LibHeif::new_checked().map_err(text)?;
    let mut options = DecodingOptions::new().ok_or("no memory")?;
    // Otherwise, a missing or broken tile would be black.
    options.set_strict_decoding(true);
    // The colour space is kept for the result, not converted.
    options.set_output_image_nclx_profile_passthrough(true);
    let decoded = library.decode(&handle, ColorSpace::Rgb(chroma), Some(options)).map_err(text)?;
    let plane = decoded.planes().interleaved.ok_or("no interleaved plane")?;
    let row = plane.width as usize * if alpha { 4 } else { 3 } * if deep { 2 } else { 1 };
    let mut samples = Vec::with_capacity(row * plane.height as usize);
    for line in plane.data.chunks(plane.stride).take(plane.height as usize) {
        samples.extend_from_slice(line.get(..row).ok_or("a short row")?);
    }
    if deep {
        widen(&mut samples, plane.bits_per_pixel);
    }
    let icc = handle.color_profile_raw().map(|profile| profile.data).unwrap_or_default();
    let nclx = handle.color_profile_nclx().or_else(|| decoded.color_profile_nclx());
    let points = nclx
        .map_or([0; 2], |nclx| said(nclx.color_primaries() as u32, nclx.transfer_characteristics() as u32));
    Ok(Decoded { width: plane.width, height: plane.height, alpha, deep, points, icc, samples })
}

/// The primaries and transfer function, if both are known: 2 is "unspecified", and larger numbers than these
/// are unknown to libheif.
fn said(primaries: u32, transfer: u32) -> [u32; 2] {
    let known = |point: u32, last: u32| (1..=last).contains(&point) && point != 2;
    if known(primaries, 22) && known(transfer, 18) { [primaries, transfer] } else { [0; 2] }
}

/// Widens little-endian samples of `bits` bits to native-endian ones of 16. The high bits are repeated in
/// the low ones, so that black stays 0 and white becomes 65 535.
fn widen(samples: &mut [u8], bits: u8) {
    let bits = u32::from(bits).clamp(8, 16);
    for sample in samples.as_chunks_mut().0 {
        let level = u32::from(u16::from_le_bytes(*sample));
        *sample = (((level << (16 - bits)) | (level >> (2 * bits - 16))) as u16).to_ne_bytes();
    }
}

/// Gives up every right that decoding does not need.
fn confine(memory: u64, time: Duration) -> Result<(), String> {
    let limit = |resource, most: u64| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| format!("a limit: {error}"))
    };
    // Ends with the gateway, even if that is killed.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // The default, one arena per thread, reserves 64 MiB of address space for each.
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a parameter of the allocator and takes any value.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    limit(Resource::As, memory)?;
    limit(Resource::Cpu, MAX_CPU)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    end_after(time);
    filter_system_calls().map_err(|error| format!("the filter of system calls: {error}"))
}

/// Ends this process by a signal after `time`.
fn end_after(time: Duration) {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // A timer of zero would be disabled.
    let time = time.max(Duration::from_millis(1));
    let until = libc::timeval { tv_sec: time.as_secs() as i64, tv_usec: time.subsec_micros().into() };
    let timer = libc::itimerval { it_interval: never, it_value: until };
    // SAFETY: sets a timer of this process, and nothing else.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Allows only the system calls for memory, threads of this process, time, and streams that are already
/// open. All others fail with EPERM: no files, no network, no programs, no signals.
fn filter_system_calls() -> Result<(), Box<dyn std::error::Error>> {
    const ALLOWED: [libc::c_long; 26] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_close,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_getrandom,
    ];
    let of_this_machine = || std::env::consts::ARCH.try_into();
    let install = |rules: BTreeMap<i64, Vec<SeccompRule>>, others, listed| {
        let filter = SeccompFilter::new(rules, others, listed, of_this_machine()?)?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    // The flags of clone3 are in memory, where a filter cannot see them. If it seems not to exist, the C
    // library creates threads with clone. Of two filters, the stricter one wins.
    install(
        [(libc::SYS_clone3, vec![])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    )?;
    let threads = libc::CLONE_THREAD as u64;
    let of_thread =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(threads), threads)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.map(|call| (call, vec![])).into();
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![of_thread])?]);
    install(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bits_become_sixteen_with_black_and_white_kept() {
        let mut samples = [0u16, 1, 512, 1023].map(u16::to_le_bytes).concat();
        widen(&mut samples, 10);
        let wide: Vec<u16> = samples.as_chunks().0.iter().map(|&s| u16::from_ne_bytes(s)).collect();
        assert_eq!(wide, [0, 64, 32_800, 65_535]);
    }
}
