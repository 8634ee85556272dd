//! Tables in Markdown, as ARCHITECTURE.md has them.

/// A row: its cells, and the line it stands on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

/// The rows of every table whose first column is headed `head`.
pub(crate) fn rows(text: &str, head: &str) -> Vec<Row> {
    let mut found = Vec::new();
    let mut inside = None;
    for (number, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            inside = None;
            continue;
        };
        match inside {
            None => inside = Some(cells[0] == head),
            Some(true) if !is_rule(&cells) => found.push(Row { line: number + 1, cells }),
            Some(_) => {}
        }
    }
    found
}

/// What stands between backticks in a cell.
pub(crate) fn ticked(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
}

fn is_rule(cells: &[String]) -> bool {
    cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_with_the_head_are_read_and_each_row_knows_its_line() {
        let text = "intro\n\n| path | is |\n| --- | :-: |\n| `a` | one |\n| `b` | two, `x` and `y` |\n\n\
                    | other | is |\n|---|---|\n| `c` | three |\n";
        let rows = rows(text, "path");
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].line, rows[0].cells[0].as_str()), (5, "`a`"));
        assert_eq!(ticked(&rows[1].cells[1]).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn two_tables_apart_by_one_line_are_two_tables() {
        let text = "| path | is |\n|---|---|\n| `a` | 1 |\n\n| path | is |\n|---|---|\n| `b` | 2 |";
        assert_eq!(rows(text, "path").len(), 2);
    }
}
