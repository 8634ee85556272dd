//! Whether an item's documentation holds an example that runs.

use syn::{Attribute, Expr, Lit, Meta};

/// Whether there is a block of code that `cargo test --doc` compiles and runs.
pub(super) fn has_one(attributes: &[Attribute]) -> bool {
    let mut is_open = false;
    for text in attributes.iter().filter_map(text_of) {
        for line in text.lines() {
            let Some(kind) = line.trim_start().strip_prefix("```") else { continue };
            if !is_open && matches!(kind.trim(), "" | "rust" | "should_panic") {
                return true;
            }
            is_open = !is_open;
        }
    }
    false
}

/// What a `///`, or a `#[doc = ".."]`, says.
fn text_of(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(docs: &str) -> bool {
        let item: syn::ItemFn = syn::parse_str(&format!("{docs}\nfn f() {{}}")).expect("it is a function");
        has_one(&item.attrs)
    }

    #[test]
    fn code_that_runs_is_an_example() {
        assert!(runs("/// Adds.\n///\n/// ```\n/// assert_eq!(1 + 1, 2);\n/// ```"));
        assert!(runs("/// ```text\n/// a table\n/// ```\n/// ```should_panic\n/// panic!();\n/// ```"));
    }

    #[test]
    fn text_and_code_that_is_not_run_are_none() {
        assert!(!runs(""));
        assert!(!runs("/// Adds `1`."));
        assert!(!runs("/// ```text\n/// a table\n/// ```"));
        assert!(!runs("/// ```no_run\n/// loop {}\n/// ```"));
    }
}
