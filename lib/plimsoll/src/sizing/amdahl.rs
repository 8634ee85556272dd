//! Amdahl's law.

use super::input::{positive, ratio, refuse};
use crate::Invalid;

/// What more workers can gain when a part of the work cannot be done side by side.
///
/// Gene M. Amdahl, *Validity of the single processor approach to achieving large scale computing
/// capabilities*, AFIPS 1967. It is a bound from above: it knows of no cost of coordination, so that
/// it never gets worse with more workers, as real systems do (see [`usl`](super::usl)); and it asks
/// about the same work done sooner, not about more work done in the same time.
///
/// ```
/// use plimsoll::sizing::Amdahl;
/// let tenth = Amdahl::new(0.1)?; // a tenth of the work is one after another
/// assert!((tenth.speedup(8) - 4.71).abs() < 0.01);
/// assert!((tenth.speedup_max() - 10.0).abs() < 1e-9); // with as many workers as you like
/// assert!((tenth.efficiency_ratio(8) - 0.59).abs() < 0.01);
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Amdahl {
    serial_ratio: f64,
}

impl Amdahl {
    /// This share of the work, 0 to 1, cannot be done side by side.
    ///
    /// # Errors
    /// When it is not 0 to 1.
    ///
    /// ```
    /// use plimsoll::sizing::Amdahl;
    /// assert_eq!(Amdahl::new(0.5).unwrap().speedup_max(), 2.0);
    /// assert_eq!(Amdahl::new(50.0).unwrap_err().field(), "serial_ratio");
    /// ```
    pub fn new(serial_ratio: f64) -> Result<Self, Invalid> {
        Ok(Self { serial_ratio: ratio("serial_ratio", serial_ratio)? })
    }

    /// The share that explains a speed-up that was measured with `workers`: the Karp-Flatt metric,
    /// `(1/S - 1/p) / (1 - 1/p)`.
    ///
    /// When it grows with the number of workers, what is lost is coordination and not a serial part:
    /// fit the [universal scalability law](super::usl) instead. Alan H. Karp and Horace P. Flatt,
    /// *Measuring Parallel Processor Performance*, CACM 33(5), 1990.
    ///
    /// # Errors
    /// When `workers` is below 2, or `speedup` is not above 0 or above the number of workers, which no
    /// serial part explains, or below 1, which more than everything serial would have to explain.
    ///
    /// ```
    /// use plimsoll::sizing::Amdahl;
    /// let measured = Amdahl::from_speedup(8, 4.0)?;
    /// assert!((measured.serial_ratio() - 1.0 / 7.0).abs() < 1e-9);
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn from_speedup(workers: u32, speedup: f64) -> Result<Self, Invalid> {
        if workers < 2 {
            return Err(refuse("workers", workers, "at least 2"));
        }
        let workers = f64::from(workers);
        let speedup = positive("speedup", speedup)?;
        if !(1.0..=workers).contains(&speedup) {
            return Err(refuse("speedup", speedup, "1 to the number of workers"));
        }
        Ok(Self { serial_ratio: (1.0 / speedup - 1.0 / workers) / (1.0 - 1.0 / workers) })
    }

    /// The share that cannot be done side by side.
    ///
    /// ```
    /// use plimsoll::sizing::Amdahl;
    /// assert_eq!(Amdahl::new(0.05)?.serial_ratio(), 0.05);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn serial_ratio(self) -> f64 {
        self.serial_ratio
    }

    /// How many times as fast as one worker so many are; none are no faster than one.
    ///
    /// ```
    /// use plimsoll::sizing::Amdahl;
    /// let import = Amdahl::new(0.5)?;
    /// assert_eq!((import.speedup(0), import.speedup(1), import.speedup(2)), (1.0, 1.0, 4.0 / 3.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn speedup(self, workers: u32) -> f64 {
        let workers = f64::from(workers.max(1));
        1.0 / (self.serial_ratio + (1.0 - self.serial_ratio) / workers)
    }

    /// What the speed-up approaches; infinite when everything can be done side by side.
    ///
    /// ```
    /// use plimsoll::sizing::Amdahl;
    /// assert_eq!(Amdahl::new(0.05)?.speedup_max(), 20.0);
    /// assert_eq!(Amdahl::new(0.0)?.speedup_max(), f64::INFINITY);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn speedup_max(self) -> f64 {
        1.0 / self.serial_ratio
    }

    /// The share of the workers' time that is put to use: speed-up by worker.
    ///
    /// ```
    /// use plimsoll::sizing::Amdahl;
    /// assert!((Amdahl::new(0.05)?.efficiency_ratio(20) - 0.513).abs() < 0.001); // half of 20 workers is lost
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn efficiency_ratio(self, workers: u32) -> f64 {
        self.speedup(workers) / f64::from(workers.max(1))
    }
}
