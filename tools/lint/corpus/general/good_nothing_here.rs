//! A file without anything to say.
pub struct Point {
    pub x: f64,
    pub y: f64,
}

impl Point {
    pub fn length(&self) -> f64 {
        self.x.hypot(self.y)
    }
}
