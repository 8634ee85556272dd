//! What somebody may have meant.

/// How different a word may be and still be meant.
const DISTANCE_MAX: usize = 4;

/// The known word that is nearest to `word`, if any is near.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // The distance of long words takes long to find, and nobody meant them.
    if word.len() > 128 {
        return None;
    }
    let near = DISTANCE_MAX.min(word.len().div_ceil(3));
    known
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many characters must be put in, taken out or replaced (Levenshtein, one row kept).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_meant_and_nothing_when_all_are_far() {
        let known = ["hooks.concurrency", "hooks.tenant_concurrency", "data"];
        assert_eq!(nearest("hooks.concurency", known.into_iter()), Some("hooks.concurrency"));
        assert_eq!(nearest("hooks.tenant_concurrenci", known.into_iter()), Some("hooks.tenant_concurrency"));
        assert_eq!(nearest("date", known.into_iter()), Some("data"));
        assert_eq!(nearest("retention", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(10_000), known.into_iter()), None);
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }
}
