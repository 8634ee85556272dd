//! A piece of a profile on which the arrivals have a formula.

/// A piece of time, in seconds from the beginning, and the arrivals before it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Segment {
    pub(super) stage: usize,
    pub(super) begins: f64,
    pub(super) length: f64,
    /// How many arrivals are due before it.
    pub(super) level: f64,
    pub(super) flow: Flow,
}

/// How arrivals come within a segment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Flow {
    /// At a rate that changes evenly.
    Line { from: f64, to: f64 },
    /// So many at one instant, and again after so many seconds.
    Bursts { size: f64, every: f64 },
}

impl Segment {
    /// The arrivals of the whole segment.
    pub(super) fn count(&self) -> f64 {
        self.within(self.length)
    }

    pub(super) fn level_end(&self) -> f64 {
        self.level + self.count()
    }

    /// The arrivals of its first `seconds`, those at their very end not among them.
    pub(super) fn within(&self, seconds: f64) -> f64 {
        let seconds = seconds.clamp(0.0, self.length);
        match self.flow {
            Flow::Line { from, to } => seconds * (from + (to - from) * seconds / (2.0 * self.length)),
            Flow::Bursts { size, every } => size * (seconds / every).ceil(),
        }
    }

    /// The rate so many seconds after its beginning; of bursts, on average.
    pub(super) fn rate(&self, seconds: f64) -> f64 {
        match self.flow {
            Flow::Line { from, to } => from + (to - from) * seconds / self.length,
            Flow::Bursts { size, every } => size / every,
        }
    }

    /// When the arrivals reach that level, which lies within the segment: seconds from the beginning
    /// of all.
    pub(super) fn reaches(&self, level: f64) -> f64 {
        let count = (level - self.level).max(0.0);
        let seconds = match self.flow {
            // The root of a quadratic, in the form that does not lose its digits where the rate
            // hardly changes.
            Flow::Line { from, to } => {
                let bend = (to - from) / (2.0 * self.length);
                let root = (from * from + 4.0 * bend * count).max(0.0).sqrt();
                if from + root > 0.0 { 2.0 * count / (from + root) } else { 0.0 }
            }
            Flow::Bursts { size, every } => (count / size).floor() * every,
        };
        self.begins + seconds.min(self.length)
    }
}
