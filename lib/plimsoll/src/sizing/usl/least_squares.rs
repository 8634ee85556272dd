//! Least squares of relative errors, for a sum of three terms none of which is negative.

pub(super) const TERMS: usize = 3;

type Vector = [f64; TERMS];
type Matrix = [Vector; TERMS];

/// How often the weights are made anew from the curve that was found with the ones before.
const ROUNDS: usize = 8;
/// No measurement is better than a millionth: what is smaller is rounding.
const VARIANCE_MIN: f64 = 1e-12;

/// One equation: `target` is about the sum of `terms` times their coefficients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Equation {
    pub(super) terms: Vector,
    pub(super) target: f64,
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solution {
    /// None of them negative.
    pub(super) coefficients: Vector,
    /// As they would be if they could be negative, which is what the covariance is of.
    pub(super) free: Vector,
    pub(super) covariance: Matrix,
    /// The mean distance from the curve, as a share of it.
    pub(super) error_ratio: f64,
}

/// Solves; `None` when the equations do not determine the coefficients.
pub(super) fn solve(equations: &[Equation]) -> Option<Solution> {
    // Columns between 0 and 1, so that the squares of a hundred thousand workers lose nothing.
    let scale: Vector = std::array::from_fn(|term| {
        equations.iter().map(|equation| equation.terms[term]).fold(f64::MIN_POSITIVE, f64::max)
    });
    let scaled: Vec<Equation> = equations
        .iter()
        .map(|equation| Equation {
            terms: std::array::from_fn(|term| equation.terms[term] / scale[term]),
            target: equation.target,
        })
        .collect();
    let mut expected: Vec<f64> = scaled.iter().map(|equation| equation.target).collect();
    let mut found = None;
    for _ in 0..ROUNDS {
        let (coefficients, free, normal) = round(&scaled, &expected)?;
        for (expected, equation) in expected.iter_mut().zip(&scaled) {
            *expected = dot(&equation.terms, &coefficients);
            if expected.is_nan() || *expected <= 0.0 {
                return None;
            }
        }
        found = Some((coefficients, free, normal));
    }
    let (coefficients, free, normal) = found?;
    let inverse = inverse(&normal)?;
    // How far from the constrained curve: where the constraint binds it is the larger, honest one.
    let squares: f64 = scaled
        .iter()
        .zip(&expected)
        .map(|(equation, expected)| (equation.target / expected - 1.0).powi(2))
        .sum();
    let variance = (squares / (equations.len() - TERMS) as f64).max(VARIANCE_MIN);
    Some(Solution {
        coefficients: std::array::from_fn(|term| coefficients[term] / scale[term]),
        free: std::array::from_fn(|term| free[term] / scale[term]),
        covariance: std::array::from_fn(|row| {
            std::array::from_fn(|column| variance * inverse[row][column] / (scale[row] * scale[column]))
        }),
        error_ratio: variance.sqrt(),
    })
}

/// One round with the weights that `expected` gives: the coefficients, the free ones, and the normal
/// matrix.
fn round(equations: &[Equation], expected: &[f64]) -> Option<(Vector, Vector, Matrix)> {
    let (mut normal, mut right) = ([[0.0; TERMS]; TERMS], [0.0; TERMS]);
    for (equation, expected) in equations.iter().zip(expected) {
        let weight = expected.powi(-2);
        for (row, term) in equation.terms.iter().enumerate() {
            right[row] += weight * term * equation.target;
            for (cell, other) in normal[row].iter_mut().zip(&equation.terms) {
                *cell += weight * term * other;
            }
        }
    }
    let free = multiply(&inverse(&normal)?, &right);
    let coefficients =
        if free.iter().all(|value| *value >= 0.0) { free } else { constrained(&normal, &right)? };
    Some((coefficients, free, normal))
}

/// The best of those solutions in which some of the last two coefficients are held at zero.
fn constrained(normal: &Matrix, right: &Vector) -> Option<Vector> {
    let held: [&[usize]; 3] = [&[1], &[2], &[1, 2]];
    let solutions = held.into_iter().filter_map(|held| {
        let (mut normal, mut right) = (*normal, *right);
        for &term in held {
            normal[term] = [0.0; TERMS];
            normal.iter_mut().for_each(|row| row[term] = 0.0);
            (normal[term][term], right[term]) = (1.0, 0.0);
        }
        let found = multiply(&inverse(&normal)?, &right);
        found.iter().all(|value| *value >= 0.0).then_some(found)
    });
    // The squares that are left over, but for a constant.
    let left_over = |found: &Vector| dot(found, &multiply(normal, found)) - 2.0 * dot(found, right);
    solutions.min_by(|one, other| left_over(one).total_cmp(&left_over(other)))
}

fn dot(one: &Vector, other: &Vector) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn multiply(matrix: &Matrix, vector: &Vector) -> Vector {
    matrix.map(|row| dot(&row, vector))
}

/// By cofactors; `None` when the matrix is as good as singular.
fn inverse(matrix: &Matrix) -> Option<Matrix> {
    let at = |row: usize, column: usize| matrix[row % TERMS][column % TERMS];
    let cofactor = |row, column| {
        at(row + 1, column + 1) * at(row + 2, column + 2) - at(row + 1, column + 2) * at(row + 2, column + 1)
    };
    let determinant: f64 = (0..TERMS).map(|column| at(0, column) * cofactor(0, column)).sum();
    let size: f64 = (0..TERMS).map(|term| at(term, term)).product();
    if determinant.is_nan() || determinant <= size * 1e-12 {
        return None;
    }
    Some(std::array::from_fn(|row| std::array::from_fn(|column| cofactor(column, row) / determinant)))
}
