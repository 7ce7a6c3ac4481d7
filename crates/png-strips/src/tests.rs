use image::{ImageBuffer, Luma, LumaA, Pixel, Rgb, RgbImage, Rgba};
use png::{BitDepth, ColorType, DecodeOptions, Decoder, Encoder};
use zlib_rs::{Inflate, InflateFlush};

use super::*;

/// Decodes a file, verifying all checksums: (width, height, colour type, depth, samples).
fn read(file: &[u8]) -> (u32, u32, ColorType, BitDepth, Vec<u8>) {
    let mut options = DecodeOptions::default();
    options.set_ignore_checksums(false);
    let mut reader = Decoder::new_with_options(std::io::Cursor::new(file), options).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    reader.finish().unwrap();
    let info = reader.info();
    (info.width, info.height, info.color_type, info.bit_depth, samples)
}

fn assert_lossless(image: &DynamicImage) -> usize {
    let file = encode(image, &Colour::default());
    let (width, height, kind, depth, samples) = read(&file);
    assert_eq!((width, height), (image.width(), image.height()));
    assert_eq!(kind.samples(), usize::from(image.color().channel_count()));
    let wide = depth == BitDepth::Sixteen;
    assert_eq!(1 + usize::from(wide), usize::from(image.color().bytes_per_pixel()) / kind.samples());
    let expected: Vec<u8> = if wide {
        let (samples, _) = image.as_bytes().as_chunks();
        samples.iter().flat_map(|&sample| u16::from_ne_bytes(sample).to_be_bytes()).collect()
    } else {
        image.as_bytes().to_vec()
    };
    assert!(samples == expected, "{width}x{height} {kind:?} {depth:?}: other samples");
    file.len()
}

/// A deterministic pseudo-random generator.
fn noise() -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    }
}

/// Gradients with a little noise, like a photo.
fn photo(width: u32, height: u32) -> RgbImage {
    let mut noise = noise();
    RgbImage::from_fn(width, height, |x, y| {
        let wave = (x as f32 / 60.0).sin() * 70.0 + (y as f32 / 45.0).cos() * 50.0;
        Rgb([120.0, 110.0, 128.0].map(|base| (base + wave) as u8 + (noise() % 5) as u8))
    })
}

fn all_kinds(width: u32, height: u32) -> Vec<DynamicImage> {
    fn make<P: Pixel<Subpixel = T>, T>(
        width: u32,
        height: u32,
        sample: impl Fn(u32) -> T,
    ) -> ImageBuffer<P, Vec<T>>
    where
        T: image::Primitive,
    {
        let mut noise = noise();
        let count = (width * height) as usize * usize::from(P::CHANNEL_COUNT);
        let samples = (0..count as u32).map(|i| sample(i * 3 + noise() % 7)).collect();
        ImageBuffer::from_raw(width, height, samples).unwrap()
    }
    let narrow = |i: u32| (i / 5) as u8;
    let wide = |i: u32| (i * 37) as u16;
    vec![
        make::<Luma<u8>, _>(width, height, narrow).into(),
        make::<LumaA<u8>, _>(width, height, narrow).into(),
        make::<Rgb<u8>, _>(width, height, narrow).into(),
        make::<Rgba<u8>, _>(width, height, narrow).into(),
        make::<Luma<u16>, _>(width, height, wide).into(),
        make::<LumaA<u16>, _>(width, height, wide).into(),
        make::<Rgb<u16>, _>(width, height, wide).into(),
        make::<Rgba<u16>, _>(width, height, wide).into(),
    ]
}

#[test]
fn every_kind_of_picture_is_lossless_in_every_shape() {
    for (width, height) in [(1, 1), (2, 1), (1, 2), (1, 300), (300, 1), (37, 23), (256, 64)] {
        for image in all_kinds(width, height) {
            assert_lossless(&image);
        }
    }
}

#[test]
fn pictures_of_many_strips_are_lossless() {
    for image in all_kinds(900, 1_500) {
        assert!(image.as_bytes().len() > STRIP);
        assert_lossless(&image);
    }
    assert_lossless(&photo(3, 200_000).into());
    assert_lossless(&photo(200_000, 3).into());
}

#[test]
fn pure_noise_grows_by_less_than_a_hundredth() {
    let mut noise = noise();
    let image =
        DynamicImage::from(RgbImage::from_fn(1_000, 700, |_, _| Rgb([(); 3].map(|()| (noise() >> 7) as u8))));
    let raw = image.as_bytes().len();
    assert!(assert_lossless(&image) < raw + raw / 100);
}

#[test]
fn runs_of_every_length_survive() {
    let mut rows = Vec::new();
    for length in (1..700).chain([1_000, 5_000, 66_000]) {
        rows.extend(std::iter::repeat_n(0, length));
        rows.extend([1, 200, 3]);
        rows.extend(std::iter::repeat_n(7, length));
        rows.extend([9, 250]);
    }
    let width = 1_000;
    rows.truncate(rows.len() / width * width);
    let height = rows.len() / width;
    let image = ImageBuffer::<Luma<u8>, _>::from_raw(width as u32, height as u32, rows).unwrap();
    assert_lossless(&image.into());
}

/// Bytes with matches of all distances and lengths, and noise in between.
fn repetitive(length: usize) -> Vec<u8> {
    let mut noise = noise();
    let mut random = |below: usize| (noise() >> 7) as usize % below;
    let mut data: Vec<u8> = (0..600).map(|_| random(256) as u8).collect();
    while data.len() < length {
        let distance = 1 + random(data.len().min(40_000));
        for _ in 0..8 + random(600) {
            data.push(data[data.len() - distance]);
        }
        data.extend((0..random(30)).map(|_| random(256) as u8));
    }
    data.truncate(length);
    data
}

#[test]
fn repetitions_of_every_length_and_distance_survive_and_save_their_bytes() {
    for length in [0, 1, 7, 8, 9, 600, 5_000, 131_072, 131_073, 131_080, 700_001] {
        let data = repetitive(length);
        let deflated = deflate::deflate(&data);
        let mut inflated = vec![0; data.len() + 1];
        let mut stream = Inflate::new(false, 15);
        stream.decompress(&deflated, &mut inflated, InflateFlush::SyncFlush).unwrap();
        assert_eq!(stream.total_out() as usize, data.len());
        assert!(inflated[..data.len()] == data, "{length}");
        assert!(length < 5_000 || deflated.len() < data.len() / 2, "{} of {length}", deflated.len());
    }
}

#[test]
fn one_colour_takes_next_to_nothing() {
    let image = RgbImage::from_pixel(4_096, 4_096, Rgb([12, 200, 90])).into();
    assert!(assert_lossless(&image) < 70_000);
}

#[test]
fn repeated_shapes_on_a_plain_ground_stay_small() {
    // Something like text: a few dark shapes repeated.
    let image = DynamicImage::from(RgbImage::from_fn(1_600, 900, |x, y| {
        let (column, row) = (x / 14, y / 24);
        let letter = (column * 7 + row * 13) % 23;
        let ink = row % 4 == 0 && (x % 14 * letter + y % 24 * 3) % 11 == 0 && (y % 24) < 12;
        Rgb([if ink { 30 } else { 250 }; 3])
    }));
    let ours = assert_lossless(&image);
    let theirs = by_png(&image, png::Compression::Fast);
    assert!(ours * 3 < theirs, "{ours} against {theirs}");
}

#[test]
fn photos_are_hardly_larger_than_from_a_thorough_encoder() {
    let image = photo(1_200, 800).into();
    let ours = assert_lossless(&image);
    let theirs = by_png(&image, png::Compression::Balanced);
    assert!(ours * 5 < theirs * 6, "{ours} against {theirs}");
}

fn by_png(image: &DynamicImage, compression: png::Compression) -> usize {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, image.width(), image.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_compression(compression);
    encoder.write_header().unwrap().write_image_data(image.as_bytes()).unwrap();
    file.len()
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_cores() {
    let image = DynamicImage::from(photo(1_500, 1_100));
    let by = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encode(&image, &Colour::default()))
    };
    let one = by(1);
    assert!(one == by(2) && one == by(5) && one == encode(&image, &Colour::default()));
}

#[test]
fn strips_encoded_ahead_give_the_same_file() {
    let before = DynamicImage::from(photo(1_500, 1_100));
    let rows = Rows::of(&before).strips();
    let (first, second) = (rows[0].end as u32, rows[1].end as u32);
    // In the middle of a strip, in its last row, and in its first.
    for changed in [first / 2..first / 2 + 1, first - 1..first, first..first + 1, 3..second, 0..1_100] {
        let mut after = before.to_rgb8();
        for y in changed.clone() {
            (0..1_500).for_each(|x| after.put_pixel(x, y, Rgb([x as u8, 0, 255])));
        }
        let after = DynamicImage::from(after);
        let strips = Strips::of(&before, |rows| rows.end <= changed.start || rows.start >= changed.end);
        let ahead = strips.0.iter().flatten().count();
        assert_eq!(ahead == 0, changed.len() == 1_100, "{changed:?}");
        assert!(
            strips.finish(&after, &Colour::default()) == encode(&after, &Colour::default()),
            "{changed:?}"
        );
    }
}

#[test]
fn the_colour_space_is_written_before_the_pixels() {
    let profile: Vec<u8> = (0..40_000_u32).map(|i| ((i * i) >> 9) as u8).collect();
    let colour = Colour {
        icc: Some(profile.clone()),
        srgb: Some(0),
        gamma: Some(45_455),
        chromaticities: Some([31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000]),
        cicp: Some([9, 16, 0, 1]),
    };
    let file = encode(&photo(10, 10).into(), &colour);
    let reader = Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
    let info = reader.info();
    assert_eq!(info.icc_profile.as_deref(), Some(&profile[..]));
    assert_eq!(info.gama_chunk.map(png::ScaledFloat::into_scaled), colour.gamma);
    let chromaticities = info.chrm_chunk.unwrap();
    assert_eq!(chromaticities.white.0.into_scaled(), 31_270);
    assert_eq!(chromaticities.blue.1.into_scaled(), 6_000);
    let points = info.coding_independent_code_points.unwrap();
    assert_eq!((points.color_primaries, points.transfer_function), (9, 16));
    assert!(!file.windows(4).any(|kind| kind == b"sRGB"), "two chunks would contradict each other");
}

#[test]
fn srgb_is_written_where_there_is_no_profile() {
    let colour = Colour { srgb: Some(1), ..Colour::default() };
    let file = encode(&photo(10, 10).into(), &colour);
    let reader = Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
    assert_eq!(reader.info().srgb, Some(png::SrgbRenderingIntent::RelativeColorimetric));
}

#[test]
fn nothing_is_said_about_an_unknown_colour_space() {
    let file = encode(&photo(10, 10).into(), &Colour::default());
    let mut kinds = Vec::new();
    let mut at = 8;
    while at < file.len() {
        let length = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        kinds.push(&file[at + 4..at + 8]);
        at += length + 12;
    }
    assert_eq!(kinds, [b"IHDR", b"IDAT", b"IDAT", b"IEND"]);
}
