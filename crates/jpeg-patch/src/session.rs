//! A safe interface to `shim.c`, which wraps libjpeg-turbo. No other module of this crate calls C.

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

// Not called directly: this crate builds and links libjpeg-turbo.
use turbojpeg_sys as _;

use super::JpegError;

/// The header. Mirrors `struct jpeg_patch_frame`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frame {
    pub width: u32,
    pub height: u32,
    pub components: u32,
    pub precision: u32,
    pub colour: u32,
    pub max_h: u32,
    pub max_v: u32,
}

/// The size of one component. Mirrors `struct jpeg_patch_plane`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plane {
    pub h: u32,
    pub v: u32,
    pub blocks_wide: u32,
    pub blocks_high: u32,
}

/// What the C functions return when the allocator refused. Mirrors `NO_MEMORY`.
const NO_MEMORY: c_int = -2;

#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn jpeg_patch_new() -> *mut Opaque;
    fn jpeg_patch_free(session: *mut Opaque);
    fn jpeg_patch_message(session: *const Opaque) -> *const c_char;
    fn jpeg_patch_open(
        session: *mut Opaque,
        data: *const u8,
        length: usize,
        metadata: c_int,
        frame: *mut Frame,
    ) -> c_int;
    fn jpeg_patch_exif(session: *const Opaque, length: *mut usize) -> *const u8;
    fn jpeg_patch_icc(session: *mut Opaque, profile: *mut *const u8, length: *mut usize) -> c_int;
    fn jpeg_patch_read_pixels(session: *mut Opaque, pixels: *mut u8, stride: usize) -> c_int;
    fn jpeg_patch_read_coefficients(session: *mut Opaque) -> c_int;
    fn jpeg_patch_plane(session: *const Opaque, component: u32, plane: *mut Plane);
    fn jpeg_patch_block_row(session: *mut Opaque, component: u32, row: u32, blocks: *mut *mut i16) -> c_int;
    fn jpeg_patch_replace(session: *mut Opaque, component: u32, block: *mut i16, with: *const i16);
    fn jpeg_patch_encode(
        session: *mut Opaque,
        pixels: *const u8,
        width: u32,
        height: u32,
        components: u32,
        quality: c_int,
        icc: *const u8,
        icc_length: usize,
        data: *mut *const u8,
        length: *mut usize,
    ) -> c_int;
    fn jpeg_patch_encode_alike(
        session: *mut Opaque,
        pixels: *const u8,
        width: u32,
        height: u32,
        stride: usize,
        data: *mut *const u8,
        length: *mut usize,
    ) -> c_int;
    fn jpeg_patch_write_head(
        session: *mut Opaque,
        width: u32,
        height: u32,
        restarts: c_int,
        exif: *const u8,
        exif_length: usize,
        icc: *const u8,
        icc_length: usize,
        data: *mut *const u8,
        length: *mut usize,
    ) -> c_int;
    fn jpeg_patch_write_coefficients(
        session: *mut Opaque,
        exif: *const u8,
        exif_length: usize,
        icc: *const u8,
        icc_length: usize,
        data: *mut *const u8,
        length: *mut usize,
    ) -> c_int;
}

/// The C side's state. Not `Send`: a session belongs to the thread that made it.
struct Handle(NonNull<Opaque>);

impl Handle {
    fn new() -> Result<Self, JpegError> {
        // SAFETY: takes nothing, gives a session or null.
        NonNull::new(unsafe { jpeg_patch_new() }).map(Self).ok_or(JpegError::Memory)
    }

    /// Turns a status other than 0 into an error: `kind` unless memory ran out.
    fn check(&self, status: c_int, kind: fn(String) -> JpegError) -> Result<(), JpegError> {
        match status {
            0 => return Ok(()),
            NO_MEMORY => return Err(JpegError::Memory),
            _ => {}
        }
        // SAFETY: the message is an array inside the session, always ended by a zero.
        let message = unsafe { CStr::from_ptr(jpeg_patch_message(self.0.as_ptr())) };
        Err(kind(message.to_string_lossy().into_owned()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the session came from `jpeg_patch_new` and is freed once.
        unsafe { jpeg_patch_free(self.0.as_ptr()) }
    }
}

/// A JPEG file whose header was read.
pub(crate) struct Reader<'a> {
    handle: Handle,
    frame: Frame,
    /// The C side keeps a pointer to the file's bytes.
    data: PhantomData<&'a [u8]>,
}

impl<'a> Reader<'a> {
    /// Reads `data` up to the first scan; `metadata` keeps the EXIF block and the ICC profile.
    pub fn open(data: &'a [u8], metadata: bool) -> Result<Self, JpegError> {
        let handle = Handle::new()?;
        let mut frame = Frame::default();
        // SAFETY: `data` outlives the reader, by its lifetime.
        let status = unsafe {
            jpeg_patch_open(
                handle.0.as_ptr(),
                data.as_ptr(),
                data.len(),
                c_int::from(metadata),
                &raw mut frame,
            )
        };
        handle.check(status, JpegError::Invalid)?;
        Ok(Self { handle, frame, data: PhantomData })
    }

    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// The EXIF block from its TIFF header on.
    pub fn exif(&self) -> Option<&[u8]> {
        let mut length = 0;
        // SAFETY: the block lives as long as the session, which lives as long as `self`.
        unsafe {
            let block = jpeg_patch_exif(self.handle.0.as_ptr(), &raw mut length);
            (!block.is_null()).then(|| slice::from_raw_parts(block, length))
        }
    }

    /// The ICC profile; none where its segments do not fit together.
    pub fn icc(&mut self) -> Result<Option<Vec<u8>>, JpegError> {
        let (mut profile, mut length) = (ptr::null(), 0);
        // SAFETY: the profile lives until the session's next call; it is copied here.
        unsafe {
            let status = jpeg_patch_icc(self.handle.0.as_ptr(), &raw mut profile, &raw mut length);
            self.handle.check(status, JpegError::Invalid)?;
            Ok((!profile.is_null()).then(|| slice::from_raw_parts(profile, length).to_vec()))
        }
    }

    /// Decodes all rows: 1 byte a pixel for grey, 4 for CMYK and YCCK as stored, else 3 for RGB.
    pub fn read_pixels(mut self) -> Result<Vec<u8>, JpegError> {
        let Frame { width, height, .. } = self.frame;
        let channels = match self.frame.components {
            1 => 1,
            4 => 4,
            _ => 3,
        };
        let stride = width as usize * channels;
        let length = stride * height as usize;
        // Not zeroed first, since every byte is written.
        let mut pixels: Vec<u8> = Vec::with_capacity(length);
        // SAFETY: the C side writes at most `height` rows of `stride` bytes, and has written all of them if it
        // reports success.
        unsafe {
            let status = jpeg_patch_read_pixels(self.pointer(), pixels.as_mut_ptr(), stride);
            self.handle.check(status, JpegError::Invalid)?;
            pixels.set_len(length);
        }
        Ok(pixels)
    }

    /// Reads the quantised coefficients instead of pixels.
    pub fn read_coefficients(mut self) -> Result<Coefficients<'a>, JpegError> {
        // SAFETY: the session is open.
        let status = unsafe { jpeg_patch_read_coefficients(self.pointer()) };
        self.handle.check(status, JpegError::Invalid)?;
        Ok(Coefficients { reader: self })
    }

    /// Encodes `width` x `height` grey or RGB pixels with this file's tables, sampling and colour
    /// space. `pixels` starts at the first and has rows of `stride` bytes.
    pub fn encode_alike(
        &mut self,
        pixels: &[u8],
        (width, height): (u32, u32),
        stride: usize,
    ) -> Result<Vec<u8>, JpegError> {
        let channels = if self.frame.components == 1 { 1 } else { 3 };
        let needed = stride * (height as usize - 1) + width as usize * channels;
        assert!(pixels.len() >= needed, "too few pixels. This is a bug.");
        let (mut data, mut length) = (ptr::null(), 0);
        // SAFETY: the pixels suffice; the result lives until the next call and is copied here.
        unsafe {
            let status = jpeg_patch_encode_alike(
                self.pointer(),
                pixels.as_ptr(),
                width,
                height,
                stride,
                &raw mut data,
                &raw mut length,
            );
            self.handle.check(status, JpegError::Unsupported)?;
            Ok(slice::from_raw_parts(data, length).to_vec())
        }
    }

    /// Writes the segments that precede the entropy-coded data of a file with the same tables, with an EXIF segment
    /// and an ICC profile unless they are empty: of this file's size and restart interval, or of the size `other`
    /// and without restarts.
    pub fn write_head(
        &mut self,
        other: Option<(u32, u32)>,
        exif: &[u8],
        icc: &[u8],
    ) -> Result<Vec<u8>, JpegError> {
        let (width, height) = other.unwrap_or((self.frame.width, self.frame.height));
        let (mut data, mut length) = (ptr::null(), 0);
        // SAFETY: the session is open; the result lives until the next call and is copied here.
        unsafe {
            let status = jpeg_patch_write_head(
                self.pointer(),
                width,
                height,
                c_int::from(other.is_none()),
                exif.as_ptr(),
                exif.len(),
                icc.as_ptr(),
                icc.len(),
                &raw mut data,
                &raw mut length,
            );
            self.handle.check(status, JpegError::Unsupported)?;
            Ok(slice::from_raw_parts(data, length).to_vec())
        }
    }

    fn pointer(&mut self) -> *mut Opaque {
        self.handle.0.as_ptr()
    }
}

/// A JPEG file's quantised coefficients, which can be changed and written again.
pub(crate) struct Coefficients<'a> {
    pub reader: Reader<'a>,
}

impl Coefficients<'_> {
    /// The size of a component below the frame's count.
    pub fn plane(&self, component: u32) -> Plane {
        assert!(component < self.reader.frame.components, "no such component. This is a bug.");
        let mut plane = Plane::default();
        // SAFETY: the component exists.
        unsafe { jpeg_patch_plane(self.reader.handle.0.as_ptr(), component, &raw mut plane) };
        plane
    }

    /// A row of a component's blocks: 64 coefficients each, in natural order.
    pub fn block_row(&mut self, component: u32, row: u32) -> Result<&mut [i16], JpegError> {
        let plane = self.plane(component);
        assert!(row < plane.blocks_high, "no such row of blocks. This is a bug.");
        let mut blocks = ptr::null_mut();
        // SAFETY: component and row exist, and a row holds `blocks_wide` blocks. libjpeg may move
        // the row at its next call, which the borrow of `self` rules out.
        unsafe {
            let status = jpeg_patch_block_row(self.reader.pointer(), component, row, &raw mut blocks);
            self.reader.handle.check(status, JpegError::Invalid)?;
            Ok(slice::from_raw_parts_mut(blocks, plane.blocks_wide as usize * 64))
        }
    }

    /// Replaces the blocks of one row of a component for which `changed` holds, given their column, by
    /// those of `with`, whose first has the column `first`.
    pub fn replace_blocks(
        &mut self,
        (component, row): (u32, u32),
        first: u32,
        with: &[i16],
        mut changed: impl FnMut(u32) -> bool,
    ) -> Result<(), JpegError> {
        let session = self.reader.pointer();
        let to = self.block_row(component, row)?[first as usize * 64..].as_chunks_mut::<64>().0;
        for ((to, from), column) in to.iter_mut().zip(with.as_chunks::<64>().0).zip(first..) {
            if changed(column) {
                // SAFETY: both are whole blocks, and nothing else of the session is in use.
                unsafe { jpeg_patch_replace(session, component, to.as_mut_ptr(), from.as_ptr()) };
            }
        }
        Ok(())
    }

    /// Writes the file with an EXIF segment (with its "Exif" heading) and an ICC profile, where
    /// they are not empty.
    pub fn write(&mut self, exif: &[u8], icc: &[u8]) -> Result<Vec<u8>, JpegError> {
        let (mut data, mut length) = (ptr::null(), 0);
        // SAFETY: the coefficients were read; the result lives until the next call.
        unsafe {
            let status = jpeg_patch_write_coefficients(
                self.reader.pointer(),
                exif.as_ptr(),
                exif.len(),
                icc.as_ptr(),
                icc.len(),
                &raw mut data,
                &raw mut length,
            );
            self.reader.handle.check(status, JpegError::Unsupported)?;
            Ok(slice::from_raw_parts(data, length).to_vec())
        }
    }
}

/// Encodes grey (1 component) or RGB (3) pixels without chroma subsampling.
pub(crate) fn encode(
    pixels: &[u8],
    (width, height): (u32, u32),
    components: u32,
    quality: u8,
    icc: &[u8],
) -> Result<Vec<u8>, JpegError> {
    let needed = width as usize * height as usize * components as usize;
    assert!(pixels.len() >= needed, "too few pixels. This is a bug.");
    let handle = Handle::new()?;
    let (mut data, mut length) = (ptr::null(), 0);
    // SAFETY: the pixels suffice; the result lives as long as the handle and is copied here.
    unsafe {
        let status = jpeg_patch_encode(
            handle.0.as_ptr(),
            pixels.as_ptr(),
            width,
            height,
            components,
            c_int::from(quality),
            icc.as_ptr(),
            icc.len(),
            &raw mut data,
            &raw mut length,
        );
        handle.check(status, JpegError::Unsupported)?;
        Ok(slice::from_raw_parts(data, length).to_vec())
    }
}
