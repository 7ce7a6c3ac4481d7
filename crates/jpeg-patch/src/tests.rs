use image::{GrayImage, Rgb, RgbImage};
use turbojpeg_sys::*;

use super::patch::tests::changed_in;
use super::*;

/// How a test's JPEG file is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kind {
    pub subsampling: TJSAMP,
    pub colours: Option<TJCS>,
    pub progressive: bool,
    pub arithmetic: bool,
    pub optimised: bool,
    pub restart: i32,
}

/// Encodes a picture in ways that the codec itself does not.
pub(crate) fn file(image: &DynamicImage, kind: Kind) -> Vec<u8> {
    let (pixels, format) = match image {
        DynamicImage::ImageLuma8(grey) => (grey.as_raw(), TJPF_TJPF_GRAY),
        DynamicImage::ImageRgb8(rgb) => (rgb.as_raw(), TJPF_TJPF_RGB),
        DynamicImage::ImageRgba8(inks) => (inks.as_raw(), TJPF_TJPF_CMYK),
        _ => panic!("not a kind of picture that JPEG has"),
    };
    let grey = if format == TJPF_TJPF_GRAY { TJSAMP_TJSAMP_GRAY } else { kind.subsampling };
    // SAFETY: the pixels have no padding, and the handle and the result are freed once.
    unsafe {
        let handle = tj3Init(TJINIT_TJINIT_COMPRESS as i32);
        for (parameter, value) in [
            (TJPARAM_TJPARAM_QUALITY, 85),
            (TJPARAM_TJPARAM_SUBSAMP, grey),
            (TJPARAM_TJPARAM_PROGRESSIVE, kind.progressive.into()),
            (TJPARAM_TJPARAM_ARITHMETIC, kind.arithmetic.into()),
            (TJPARAM_TJPARAM_OPTIMIZE, kind.optimised.into()),
            (TJPARAM_TJPARAM_RESTARTBLOCKS, kind.restart),
        ] {
            assert_eq!(tj3Set(handle, parameter as i32, value), 0);
        }
        if let Some(colours) = kind.colours {
            assert_eq!(tj3Set(handle, TJPARAM_TJPARAM_COLORSPACE as i32, colours as i32), 0);
        }
        let (mut data, mut length) = (std::ptr::null_mut(), 0);
        let (width, height) = (image.width() as i32, image.height() as i32);
        let status =
            tj3Compress8(handle, pixels.as_ptr(), width, 0, height, format, &raw mut data, &raw mut length);
        assert_eq!(status, 0, "{kind:?}");
        let file = std::slice::from_raw_parts(data, length as usize).to_vec();
        tj3Free(data.cast());
        tj3Destroy(handle);
        file
    }
}

/// Smooth colours with edges and texture, different everywhere.
pub(crate) fn picture(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |f: f32| 127.0 + 90.0 * (f * x as f32).sin() * (f * 0.7 * y as f32).cos();
        let edge = if (x / 11 + y / 7) % 3 == 0 { 30.0 } else { 0.0 };
        Rgb([wave(0.11) + edge, wave(0.05), wave(0.023) - edge].map(|v| v as u8))
    })
    .into()
}

pub(crate) fn grey(image: &DynamicImage) -> DynamicImage {
    DynamicImage::ImageLuma8(image.to_luma8())
}

/// With an APP segment after the start of the image.
pub(crate) fn with_segment(file: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&file[..2], &[0xff, marker], &length, payload, &file[2..]].concat()
}

fn farthest(a: &DynamicImage, b: &DynamicImage) -> u8 {
    assert_eq!((a.width(), a.height(), a.color()), (b.width(), b.height(), b.color()));
    a.as_bytes().iter().zip(b.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

fn scan_start(file: &[u8]) -> usize {
    file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap()
}

#[test]
fn a_table_with_a_zero_is_decoded_and_not_divided_by() {
    let mut file = include_bytes!("../../../tests/samples/plain.jpg").to_vec();
    let table = file.windows(2).position(|marker| marker == [0xff, 0xdb]).unwrap();
    file[table + 10] = 0;
    let image = decode(&file).unwrap().image;
    let patched = patch(&file, &Part::whole(&image), &|_| true);
    assert!(matches!(patched, Err(JpegError::Unsupported(_))), "{patched:?}");
}

#[test]
fn the_header_is_read_without_a_single_pixel() {
    let colour = file(&picture(123, 45), Kind::default());
    let start = scan_start(&colour);
    let length = usize::from(colour[start + 2]) << 8 | usize::from(colour[start + 3]);
    let header = header(&colour[..start + 2 + length]).unwrap();
    assert_eq!((header.width, header.height, header.components), (123, 45, 3));
    assert!(decode(&colour[..start + 2 + length]).is_err());
}

#[test]
fn a_header_tells_grey_and_cmyk_from_colour() {
    let grey_file = file(&grey(&picture(9, 9)), Kind::default());
    assert_eq!(header(&grey_file).unwrap().components, 1);
    let inks = DynamicImage::ImageRgba8(picture(9, 9).to_rgba8());
    assert_eq!(header(&file(&inks, Kind::default())).unwrap().components, 4);
}

#[test]
fn every_kind_decodes_to_nearly_what_was_encoded() {
    let original = picture(117, 83);
    for subsampling in
        [TJSAMP_TJSAMP_444, TJSAMP_TJSAMP_422, TJSAMP_TJSAMP_420, TJSAMP_TJSAMP_440, TJSAMP_TJSAMP_411]
    {
        for (progressive, arithmetic) in [(false, false), (true, false), (false, true), (true, true)] {
            let kind = Kind { subsampling, progressive, arithmetic, ..Kind::default() };
            let decoded = decode(&file(&original, kind)).unwrap().image;
            // Chroma edges suffer from subsampling; luma does not.
            assert!(farthest(&grey(&decoded), &grey(&original)) < 60, "{kind:?}");
        }
    }
}

#[test]
fn grey_decodes_to_grey_and_rgb_to_rgb() {
    let original = picture(40, 30);
    let decoded = decode(&file(&grey(&original), Kind::default())).unwrap().image;
    assert!(farthest(&decoded, &grey(&original)) < 40);
    let kind = Kind { colours: Some(TJCS_TJCS_RGB), ..Kind::default() };
    assert!(farthest(&decode(&file(&original, kind)).unwrap().image, &original) < 40);
}

#[test]
fn inverted_inks_become_the_colours_that_they_print() {
    let white = [255, 255, 255, 255];
    let black = [255, 255, 255, 0];
    let red = [255, 0, 0, 255];
    let dark_cyan = [0, 255, 255, 128];
    let inks = [white, black, red, dark_cyan].concat();
    assert_eq!(
        rgb_of_inverted_cmyk(&inks),
        [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 128, 128]].concat()
    );
}

#[test]
fn a_cmyk_file_decodes_to_rgb_without_its_profile() {
    let inks = DynamicImage::ImageRgba8(picture(20, 20).to_rgba8());
    let plain = file(&inks, Kind::default());
    let profile = [b"ICC_PROFILE\0\x01\x01", &b"of inks"[..]].concat();
    let decoded = decode(&with_segment(&plain, 0xe2, &profile)).unwrap();
    assert!(matches!(decoded.image, DynamicImage::ImageRgb8(_)));
    assert!(decoded.icc.is_none());
}

#[test]
fn the_profile_and_the_exif_block_are_found() {
    let plain = file(&picture(20, 20), Kind::default());
    let with_profile = with_segment(&plain, 0xe2, b"ICC_PROFILE\0\x01\x01profile");
    let decoded = decode(&with_segment(&with_profile, 0xe1, b"Exif\0\0MM\0\x2a")).unwrap();
    assert_eq!(decoded.icc.as_deref(), Some(&b"profile"[..]));
    assert_eq!(decoded.exif.as_deref(), Some(&b"MM\0\x2a"[..]));
}

#[test]
fn a_profile_whose_segments_do_not_fit_is_left_out() {
    let plain = file(&picture(20, 20), Kind::default());
    let broken = with_segment(&plain, 0xe2, b"ICC_PROFILE\0\x02\x02second half");
    assert!(decode(&broken).unwrap().icc.is_none());
}

#[test]
fn a_file_cut_anywhere_in_its_pixels_is_refused() {
    for (progressive, arithmetic) in [(false, false), (true, false), (false, true)] {
        let kind = Kind { progressive, arithmetic, ..Kind::default() };
        let whole = file(&picture(90, 70), kind);
        for kept in (0..whole.len() - 8).step_by(61) {
            assert!(decode(&whole[..kept]).is_err(), "{kind:?}, {kept} of {}", whole.len());
        }
    }
}

#[test]
fn only_the_end_marker_may_be_missing() {
    let kind = Kind::default();
    let whole = file(&picture(90, 70), kind);
    let image = decode(&whole).unwrap().image;
    assert_eq!(decode(&whole[..whole.len() - 2]).unwrap().image, image);
    let progressive = file(&picture(90, 70), Kind { progressive: true, ..kind });
    assert!(decode(&progressive[..progressive.len() - 2]).is_err(), "a scan may be missing");
}

#[test]
fn padding_between_segments_is_no_fault() {
    let whole = file(&picture(90, 70), Kind::default());
    let start = scan_start(&whole);
    let padded = [&whole[..start], &[0; 19], &whole[start..]].concat();
    assert_eq!(decode(&padded).unwrap().image, decode(&whole).unwrap().image);
}

#[test]
fn bytes_left_over_before_a_restart_marker_are_lost_pixels() {
    let whole = file(&picture(90, 70), Kind { restart: 3, ..Kind::default() });
    let marker = whole.windows(2).position(|pair| pair == [0xff, 0xd2]).unwrap();
    let padded = [&whole[..marker], &[0x55; 9], &whole[marker..]].concat();
    let error = decode(&padded).unwrap_err().to_string();
    assert!(error.contains("extraneous"), "{error}");
}

/// A sequential file of three components, each with the grey picture in a scan of its own; the last
/// scan `repeats` times.
fn in_single_scans(image: &DynamicImage, repeats: usize) -> Vec<u8> {
    let grey_file = file(&grey(image), Kind::default());
    let frame = grey_file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let scan = scan_start(&grey_file);
    let data = &grey_file[scan + 10..grey_file.len() - 2];
    let mut several = grey_file[..frame].to_vec();
    several.extend([0xff, 0xc0, 0, 17]);
    several.extend(&grey_file[frame + 4..frame + 9]);
    several.extend([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    several.extend(&grey_file[frame + 13..scan]);
    for component in [1, 2].into_iter().chain(std::iter::repeat_n(3, repeats)) {
        several.extend([0xff, 0xda, 0, 8, 1, component, 0, 0, 63, 0]);
        several.extend(data);
    }
    several.extend([0xff, 0xd9]);
    several
}

#[test]
fn a_sequential_file_may_have_a_scan_for_each_component() {
    let image = picture(64, 48);
    let decoded = decode(&in_single_scans(&image, 1)).unwrap().image;
    assert_eq!(decoded.color(), image::ColorType::Rgb8);
    assert!(decode(&in_single_scans(&image, 0)).is_err(), "one component is missing");
}

#[test]
fn hundreds_of_scans_are_refused() {
    let error = decode(&in_single_scans(&picture(64, 48), 300)).unwrap_err();
    assert!(error.to_string().contains("More than 100 scans"), "{error}");
}

#[test]
fn random_damage_is_an_error_or_a_picture_but_never_a_crash() {
    let mut seed = 1_u32;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    for (progressive, arithmetic, restart) in
        [(false, false, 0), (true, false, 3), (false, true, 0), (true, true, 0)]
    {
        let kind =
            Kind { subsampling: TJSAMP_TJSAMP_420, progressive, arithmetic, restart, ..Kind::default() };
        let sound = file(&picture(70, 50), kind);
        for _ in 0..400 {
            let mut damaged = sound.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = random(256) as u8;
            }
            // Damage may claim a huge picture; the caller looks at the header first.
            let Ok(header) = header(&damaged) else { continue };
            if header.width > 200 || header.height > 200 {
                continue;
            }
            if let Ok(decoded) = decode(&damaged)
                && decoded.image.color().channel_count() == 3
            {
                let _ = patch(&damaged, &Part::whole(&decoded.image), &changed_in(vec![]));
            }
        }
    }
}

#[test]
fn encoding_keeps_grey_grey_and_the_profile() {
    let original = grey(&picture(50, 41));
    let encoded = encode(&original, Some(b"profile")).unwrap();
    assert_eq!(header(&encoded).unwrap().components, 1);
    let decoded = decode(&encoded).unwrap();
    assert_eq!(decoded.icc.as_deref(), Some(&b"profile"[..]));
    assert!(farthest(&decoded.image, &original) < 12);
}

#[test]
fn encoding_keeps_colour_edges_because_chroma_is_not_subsampled() {
    let stripes =
        RgbImage::from_fn(64, 64, |x, _| if x % 2 == 0 { Rgb([200, 60, 60]) } else { Rgb([60, 60, 200]) });
    let original = DynamicImage::from(stripes);
    let decoded = decode(&encode(&original, None).unwrap()).unwrap();
    assert!(farthest(&decoded.image, &original) < 25);
}

#[test]
fn encoding_takes_every_kind_of_picture() {
    let original = picture(33, 21);
    for image in [
        DynamicImage::ImageRgba8(original.to_rgba8()),
        DynamicImage::ImageRgb16(original.to_rgb16()),
        DynamicImage::ImageRgba16(original.to_rgba16()),
    ] {
        let decoded = decode(&encode(&image, None).unwrap()).unwrap();
        assert!(farthest(&decoded.image, &original) < 30, "{:?}", image.color());
    }
    for image in [
        DynamicImage::ImageLumaA8(original.to_luma_alpha8()),
        DynamicImage::ImageLuma16(original.to_luma16()),
        DynamicImage::ImageLumaA16(original.to_luma_alpha16()),
    ] {
        assert_eq!(header(&encode(&image, None).unwrap()).unwrap().components, 1);
    }
}

#[test]
fn a_profile_of_many_segments_survives() {
    let profile: Vec<u8> = (0..300_000_u64).map(|i| ((i * i) >> 7) as u8).collect();
    let encoded = encode(&GrayImage::new(8, 8).into(), Some(&profile)).unwrap();
    assert_eq!(decode(&encoded).unwrap().icc, Some(profile));
}
