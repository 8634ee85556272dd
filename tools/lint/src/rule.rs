use std::fmt;
use std::str::FromStr;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal,)*) => {
        /// Something that a finding is of. Each has a code, a name and a page.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// All of them, by code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What never changes its meaning: `PL001`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What a person calls it: `spawn-in-loop`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its page, in Markdown: why, a bad and a good example, and what to write instead.
            pub const fn page(self) -> &'static str {
                match self { $(Self::$variant => include_str!(concat!("../rules/", $name, ".md")),)* }
            }
        }
    };
}

rules! {
    /// A task for each item of what is read.
    SpawnInLoop = "PL001" "spawn-in-loop",
    /// A task that nobody waits for.
    DroppedHandle = "PL002" "dropped-handle",
    /// A task that starts tasks like itself.
    RecursiveSpawn = "PL003" "recursive-spawn",
    /// A queue that grows instead of pushing back.
    UnboundedChannel = "PL004" "unbounded-channel",
    /// Everything at once, and then wait.
    UnboundedJoin = "PL005" "unbounded-join",
    /// A limit that says: none.
    UnboundedBuffer = "PL006" "unbounded-buffer",
    /// A thread for each item.
    ThreadPerItem = "PL007" "thread-per-item",
    /// As many connections as come.
    UnboundedAccept = "PL008" "unbounded-accept",
    /// A task that waits to do something later.
    SleepThenAct = "PL009" "sleep-then-act",
    /// Tries again for ever.
    UnboundedRetry = "PL010" "unbounded-retry",
    /// A place held by who is asleep.
    PermitAcrossSleep = "PL011" "permit-across-sleep",
    /// Two callers pass the same check.
    CheckThenAct = "PL012" "check-then-act",
    /// All who miss compute the same.
    NoSingleflight = "PL013" "no-singleflight",
    /// A lock held while waiting.
    LockAcrossAwait = "PL014" "lock-across-await",
    /// A client that waits for ever.
    NoTimeout = "PL015" "no-timeout",
    /// As many bytes as the other side sends.
    UnboundedBody = "PL016" "unbounded-body",
    /// A loop that never waits.
    BusySelect = "PL017" "busy-select",
    /// A limit of none at all.
    ZeroSemaphore = "PL018" "zero-semaphore",
    /// The limit is what the other side says.
    LimitFromInput = "PL019" "limit-from-input",
    /// A finding is silenced, and nobody knows why.
    AllowWithoutReason = "PL090" "allow-without-reason",
    /// An allowance for what is no more.
    UnusedAllow = "PL091" "unused-allow",
}

impl Rule {
    /// What it is about, in a few words.
    pub fn title(self) -> &'static str {
        let heading = self.page().lines().next().unwrap_or_default();
        heading.split_once(": ").map_or(heading, |(_, title)| title)
    }

    /// Why it matters, and what is not told: some paragraphs.
    pub fn why(self) -> &'static str {
        let page = self.page();
        let begin = page.find('\n').unwrap_or(page.len());
        let end = page.find("\n## ").unwrap_or(page.len());
        page[begin..end].trim()
    }

    /// An example that has it.
    pub fn bad(self) -> &'static str {
        code(self.section("Bad"))
    }

    /// The same example without it.
    pub fn good(self) -> &'static str {
        code(self.section("Good"))
    }

    /// What to use of Plimsoll instead.
    pub fn with_plimsoll(self) -> &'static str {
        self.section("With Plimsoll")
    }

    /// What to use of tokio, futures and the standard library instead.
    pub fn with_tokio(self) -> &'static str {
        self.section("With tokio")
    }

    fn section(self, title: &str) -> &'static str {
        let rest = self.page().split("\n## ").find_map(|section| section.strip_prefix(title));
        rest.and_then(|rest| rest.strip_prefix('\n')).unwrap_or_default().trim()
    }
}

/// What stands between the fences.
fn code(section: &'static str) -> &'static str {
    let inner = section.strip_prefix("```rust\n").and_then(|rest| rest.strip_suffix("```"));
    inner.unwrap_or_default()
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// There is no rule of that code or name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownRule {
    /// What was asked for.
    pub asked: String,
}

impl fmt::Display for UnknownRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no rule is called `{}`: there are ", self.asked)?;
        for (nth, rule) in Rule::ALL.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(out, "{comma}{} {}", rule.code(), rule.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownRule {}

impl FromStr for Rule {
    type Err = UnknownRule;

    /// A rule by its code, in either case, or its name.
    fn from_str(asked: &str) -> Result<Self, UnknownRule> {
        let found =
            Self::ALL.iter().find(|rule| rule.name() == asked || rule.code().eq_ignore_ascii_case(asked));
        found.copied().ok_or_else(|| UnknownRule { asked: asked.to_owned() })
    }
}
