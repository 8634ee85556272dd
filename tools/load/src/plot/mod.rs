//! Charts, drawn as inline SVG.

mod chart;
mod scale;

pub(crate) use chart::{Chart, Level, Line, Shade, escaped};
pub(crate) use scale::{Scale, Spread};
