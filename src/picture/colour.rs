//! Which colour information of a photo a result can carry.

use super::Colour;

const OTHER_KIND: &str =
    "the photo's colour profile is of another kind of colours than the answer's, and was left out";
const TOO_LONG: &str =
    "the photo's colour profile is longer than the answer's format holds, and was left out";
pub(super) const UNREAD: &str = "the photo's colour profile could not be read, and was left out";
const NO_PLACE: &str =
    "the answer's format holds no colour space but an ICC profile; that of the photo was left out";

/// sRGB in PNG's cICP: primaries and transfer function (ITU-T H.273).
const SRGB_POINTS: [u8; 2] = [1, 13];
/// sRGB in PNG's gAMA and cHRM, and the tolerance for programs that round these differently.
const SRGB_GAMMA: u32 = 45_455;
const SRGB_CHROMATICITIES: [u32; 8] = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];
const NEAR: u32 = 500;

/// The profile for a result that is `grey` or not and holds at most `longest` bytes of it, and a warning if
/// the photo's does not fit.
pub(super) fn profile(colour: &Colour, grey: bool, longest: usize) -> (Option<&[u8]>, Option<&'static str>) {
    let Some(icc) = colour.icc.as_deref() else { return (None, None) };
    // The colour space of the data (ICC.1:2022, 7.2.8).
    let fits = match icc.get(16..20) {
        Some(b"GRAY") => grey,
        Some(b"RGB ") => !grey,
        Some(b"CMYK") => false,
        _ => true,
    };
    match (fits, icc.len() <= longest) {
        (false, _) => (None, Some(OTHER_KIND)),
        (true, false) => (None, Some(TOO_LONG)),
        (true, true) => (Some(icc), None),
    }
}

/// A warning if the result's format can only carry an ICC profile and the photo defines its colours in
/// another way. The precedence is PNG's (third edition, 4.3); without any information, colours are sRGB.
pub(super) fn lost(colour: &Colour) -> Option<&'static str> {
    let Colour { icc, srgb, gamma, chromaticities, cicp } = colour;
    let lost = match cicp {
        _ if icc.is_some() => false,
        Some(points) => points[..2] != SRGB_POINTS,
        None if srgb.is_some() => false,
        None => {
            let near = |a: u32, b: u32| a.abs_diff(b) <= NEAR;
            let is_srgb = |points: [u32; 8]| points.iter().zip(SRGB_CHROMATICITIES).all(|(a, b)| near(*a, b));
            gamma.is_some_and(|gamma| !near(gamma, SRGB_GAMMA))
                || chromaticities.is_some_and(|points| !is_srgb(points))
        }
    };
    lost.then_some(NO_PLACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(kind: [u8; 4]) -> Colour {
        let mut icc = vec![0; 128];
        icc[16..20].copy_from_slice(&kind);
        Colour { icc: Some(icc), ..Colour::default() }
    }

    #[test]
    fn a_profile_is_kept_where_it_is_of_the_answers_colours() {
        for (kind, grey, kept) in [
            (b"GRAY", true, true),
            (b"GRAY", false, false),
            (b"RGB ", false, true),
            (b"RGB ", true, false),
            (b"CMYK", false, false),
            (b"\0\0\0\0", false, true),
        ] {
            let colour = of_kind(*kind);
            let (icc, warning) = profile(&colour, grey, 128);
            assert_eq!((icc.is_some(), warning.is_none()), (kept, kept), "{kind:?} {grey}");
        }
        assert_eq!(profile(&of_kind(*b"RGB "), false, 127), (None, Some(TOO_LONG)));
        assert_eq!(profile(&Colour::default(), false, 0), (None, None));
    }

    #[test]
    fn colours_are_lost_where_only_png_can_say_them() {
        let none = Colour::default();
        let p3 = Some([12, 13, 0, 1]);
        for (colour, told) in [
            (none.clone(), false),
            (Colour { cicp: p3, ..none.clone() }, true),
            (Colour { cicp: p3, icc: of_kind(*b"RGB ").icc, ..none.clone() }, false),
            (Colour { cicp: Some([1, 13, 0, 1]), gamma: Some(100_000), ..none.clone() }, false),
            (
                Colour { gamma: Some(45_455), chromaticities: Some(SRGB_CHROMATICITIES), ..none.clone() },
                false,
            ),
            (Colour { gamma: Some(100_000), ..none.clone() }, true),
            (Colour { gamma: Some(100_000), srgb: Some(0), ..none.clone() }, false),
            (
                Colour {
                    chromaticities: Some([31_270, 32_900, 64_000, 33_000, 21_000, 71_000, 15_000, 6_000]),
                    ..none
                },
                true,
            ),
        ] {
            assert_eq!(lost(&colour).is_some(), told, "{colour:?}");
        }
    }
}
