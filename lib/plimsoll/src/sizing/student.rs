//! Student's t: how many standard errors a 95 % interval reaches.

/// The 97.5th percentile of the normal distribution.
const NORMAL: f64 = 1.959_963_985;
/// Exact for the first ten degrees of freedom, where the series below is not.
const FEW: [f64; 10] = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281];

/// The 97.5th percentile of Student's t with so many degrees of freedom, at least one.
pub(super) fn t_975(degrees: usize) -> f64 {
    if let Some(few) = FEW.get(degrees.saturating_sub(1)) {
        return *few;
    }
    // Cornish and Fisher's expansion about the normal; at eleven degrees it is right to 1e-4.
    let (z, v) = (NORMAL, degrees as f64);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / v + second / v.powi(2) + third / v.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_printed_table() {
        for (degrees, printed) in
            [(1, 12.706), (5, 2.571), (11, 2.201), (20, 2.086), (60, 2.000), (1_000, 1.962)]
        {
            assert!((t_975(degrees) - printed).abs() < 6e-4, "{degrees}: {}", t_975(degrees));
        }
    }
}
