use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError, RwLock};

use syn::visit::Visit;

use crate::allow;
use crate::facts::{CrateFacts, FileFacts, crate_of, is_test, module_of};
use crate::finding::Finding;
use crate::imports::Imports;
use crate::judge::walker::{FileView, Pass, Walker};
use crate::level::Level;
use crate::options::Options;
use crate::parse;
use crate::report::{Failure, Problem, Progress, Report};
use crate::source::{ParseFailure, SourceFile};
use crate::walk::{self, Listed};

/// Of each worker: enough for what nests as deep as [`Options::depth_max`] and runs on as long as a text
/// may. Only what is used of it is ever backed by memory.
const STACK_BYTES: usize = 512 << 20;

/// Source text whose trees a worker keeps from the first pass to the second; what is beyond is parsed
/// again. A tree is about thirty times its text.
const KEPT_BYTES_MAX: usize = 12 << 20;

/// Judges one text by itself.
///
/// `path` says whether it is a test, and names it in the findings. What other files of its crate say is
/// not known here: [`lint_tree`] and [`lint_sources`] know it.
///
/// # Errors
/// [`ParseFailure`] where the text is too large, nests too deep, or is no Rust.
pub fn lint_source(path: &str, text: &str, options: &Options) -> Result<Vec<Finding>, ParseFailure> {
    let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
    let mut report = lint_sources(std::slice::from_ref(&file), options, &|_| {});
    match report.failures.pop() {
        Some(Failure { problem: Problem::Parse(failure), .. }) => Err(failure),
        _ => Ok(report.findings),
    }
}

/// Judges all Rust files below a directory, or a single one.
///
/// Left out: what `.gitignore` and `.ignore` files name, hidden files, `target`, and other people's code
/// in `vendor` and `third_party` unless [`Options::vendored`] says otherwise. Links are not followed.
/// `progress` is called from the workers, after each file.
pub fn lint_tree(root: &Path, options: &Options, progress: &(dyn Fn(Progress) + Sync)) -> Report {
    let walked = walk::walk(root, options);
    let mut report = Run::over(Files::OnDisk(&walked.files), options, progress);
    report.failures.extend(walked.failures);
    settled(report)
}

/// Judges files that are already in memory, as those of one commit.
///
/// They are read in the given order; two of the same path are two files.
pub fn lint_sources(files: &[SourceFile], options: &Options, progress: &(dyn Fn(Progress) + Sync)) -> Report {
    settled(Run::over(Files::InMemory(files), options, progress))
}

/// The files of a run.
#[derive(Clone, Copy)]
enum Files<'a> {
    OnDisk(&'a [Listed]),
    InMemory(&'a [SourceFile]),
}

/// A file as a worker holds it.
pub(crate) struct Held {
    nth: usize,
    pub(crate) text: String,
    pub(crate) tree: syn::File,
}

struct Run<'a> {
    files: Files<'a>,
    options: &'a Options,
    progress: &'a (dyn Fn(Progress) + Sync),
    /// The next file that nobody has taken yet, in each pass.
    next_read: AtomicUsize,
    read: AtomicUsize,
    judged: AtomicUsize,
    /// Files whose trees were not kept.
    again: Mutex<Vec<usize>>,
    facts: Mutex<HashMap<String, CrateFacts>>,
    settled: RwLock<HashMap<String, CrateFacts>>,
    report: Mutex<Report>,
}

impl<'a> Run<'a> {
    fn over(files: Files<'a>, options: &'a Options, progress: &'a (dyn Fn(Progress) + Sync)) -> Report {
        let run = Self {
            files,
            options,
            progress,
            next_read: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            judged: AtomicUsize::new(0),
            again: Mutex::default(),
            facts: Mutex::default(),
            settled: RwLock::default(),
            report: Mutex::default(),
        };
        let workers = options.workers.get().min(run.len()).max(1);
        let barrier = Barrier::new(workers);
        std::thread::scope(|scope| {
            for nth in 0..workers {
                let (run, barrier) = (&run, &barrier);
                let named = std::thread::Builder::new().name(format!("lint {nth}")).stack_size(STACK_BYTES);
                named
                    .spawn_scoped(scope, move || run.work(barrier))
                    .expect("the system has a thread to give");
            }
        });
        run.report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn len(&self) -> usize {
        match self.files {
            Files::OnDisk(files) => files.len(),
            Files::InMemory(files) => files.len(),
        }
    }

    fn path(&self, nth: usize) -> &'a str {
        match self.files {
            Files::OnDisk(files) => &files[nth].path,
            Files::InMemory(files) => &files[nth].path,
        }
    }

    fn text(&self, nth: usize) -> Result<String, Problem> {
        let files = match self.files {
            Files::InMemory(files) => return Ok(files[nth].text.clone()),
            Files::OnDisk(files) => files,
        };
        let limit = self.options.file_bytes_max;
        let problem = |error: std::io::Error| Problem::Read { why: error.to_string() };
        let file = std::fs::File::open(&files[nth].on_disk).map_err(problem)?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, limit + 1), &mut bytes).map_err(problem)?;
        if bytes.len() as u64 > limit {
            let bytes = std::fs::metadata(&files[nth].on_disk).map_or(limit + 1, |data| data.len());
            return Err(Problem::Parse(ParseFailure::TooLarge { bytes, limit }));
        }
        String::from_utf8(bytes).map_err(|_| Problem::Parse(ParseFailure::NotText))
    }

    fn work(&self, barrier: &Barrier) {
        let kept = self.collect();
        // The last to arrive settles what the crates are made of, before anybody judges.
        if barrier.wait().is_leader() {
            let mut facts = std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner));
            facts.values_mut().for_each(CrateFacts::settle);
            *self.settled.write().unwrap_or_else(PoisonError::into_inner) = facts;
        }
        barrier.wait();
        let facts = self.settled.read().unwrap_or_else(PoisonError::into_inner);
        for held in kept {
            self.judge_sheltered(&held, &facts);
        }
        proc_macro2::extra::invalidate_current_thread_spans();
        loop {
            let taken = self.again.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(nth) = taken else { break };
            if let Ok(held) = self.hold(nth) {
                self.judge_sheltered(&held, &facts);
            }
            proc_macro2::extra::invalidate_current_thread_spans();
        }
    }

    /// The first pass: reads, parses and collects; keeps as many trees as it may.
    fn collect(&self) -> Vec<Held> {
        let (mut kept, mut bytes) = (Vec::new(), 0);
        let mut known: HashMap<&str, Vec<FileFacts>> = HashMap::new();
        let nothing = CrateFacts::default();
        loop {
            let nth = self.next_read.fetch_add(1, Ordering::Relaxed);
            if nth >= self.len() {
                break;
            }
            let collected = sheltered(|| {
                let held = self.hold(nth)?;
                let facts = self.walk(&held, &nothing, Pass::Collect, |walker| walker.facts);
                Ok((held, facts))
            });
            match collected {
                Ok((held, facts)) => {
                    known.entry(crate_of(self.path(nth))).or_default().push(facts);
                    if bytes + held.text.len() <= KEPT_BYTES_MAX {
                        bytes += held.text.len();
                        kept.push(held);
                    } else {
                        self.again.lock().unwrap_or_else(PoisonError::into_inner).push(nth);
                    }
                }
                Err(problem) => self.fail(nth, problem),
            }
            self.read.fetch_add(1, Ordering::Relaxed);
            self.tell();
        }
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, files) in known {
            let krate = facts.entry(name.to_owned()).or_default();
            files.into_iter().for_each(|file| krate.add(file));
        }
        kept
    }

    fn hold(&self, nth: usize) -> Result<Held, Problem> {
        let text = self.text(nth)?;
        let mut tree = parse::parse(&text, self.options).map_err(Problem::Parse)?;
        self.options.resolved.put_into(self.path(nth), &mut tree);
        Ok(Held { nth, text, tree })
    }

    fn fail(&self, nth: usize, problem: Problem) {
        let failure = Failure { path: self.path(nth).to_owned(), problem };
        self.report.lock().unwrap_or_else(PoisonError::into_inner).failures.push(failure);
    }

    fn tell(&self) {
        (self.progress)(Progress {
            read: self.read.load(Ordering::Relaxed),
            judged: self.judged.load(Ordering::Relaxed),
            files: self.len(),
        });
    }

    fn walk<T>(&self, held: &Held, krate: &CrateFacts, pass: Pass, take: impl FnOnce(Walker<'_>) -> T) -> T {
        let path = self.path(held.nth);
        let module = module_of(path);
        let breaks = held.text.match_indices('\n').map(|(at, _)| at + 1);
        let view = FileView {
            path,
            text: &held.text,
            lines: std::iter::once(0).chain(breaks).collect(),
            is_test: is_test(path) || krate.is_test_module(&module),
            module,
            imports: Imports::of(&held.tree),
        };
        let mut walker = Walker::new(&view, krate, pass);
        walker.visit_file(&held.tree);
        take(walker)
    }

    fn judge_sheltered(&self, held: &Held, facts: &HashMap<String, CrateFacts>) {
        let judged = sheltered(|| {
            self.judge(held, facts);
            Ok(())
        });
        if let Err(problem) = judged {
            self.fail(held.nth, problem);
        }
    }

    /// The second pass.
    fn judge(&self, held: &Held, facts: &HashMap<String, CrateFacts>) {
        let nothing = CrateFacts::default();
        let path = self.path(held.nth);
        let krate = facts.get(crate_of(path)).unwrap_or(&nothing);
        let (mut findings, functions) =
            self.walk(held, krate, Pass::Judge, |walker| (walker.findings, walker.functions_seen));
        findings.retain(|finding| self.options.level(finding.rule) != Level::Off);
        let (mut findings, mut allowed) =
            allow::part(path, held, findings, is_test(path) || krate.is_test_module(&module_of(path)));
        findings.retain(|finding| self.options.level(finding.rule) != Level::Off);
        number(&mut findings);
        number(&mut allowed);
        {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.findings.extend(findings);
            report.allowed.extend(allowed);
            report.files += 1;
            report.bytes += held.text.len() as u64;
            report.functions += functions;
        }
        self.judged.fetch_add(1, Ordering::Relaxed);
        self.tell();
    }
}

/// Keeps a bug of ours that one file brings out from ending the run, or from leaving the other workers
/// waiting for this one.
fn sheltered<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Problem::Ours))
}

/// Numbers the findings of a file that nothing else tells apart.
fn number(findings: &mut [Finding]) {
    findings.sort_by(|a, b| a.start.cmp(&b.start).then(a.rule.cmp(&b.rule)));
    let mut seen: HashMap<[String; 4], usize> = HashMap::new();
    for finding in findings {
        let count = seen.entry(finding.identity().map(str::to_owned)).or_default();
        finding.ordinal = *count;
        *count += 1;
    }
}

/// The report in an order that does not depend on which worker was faster.
/// In the order in which it is told.
pub(crate) fn settled(mut report: Report) -> Report {
    for findings in [&mut report.findings, &mut report.allowed] {
        findings.sort_by(|a, b| {
            let by_rank = b.rank.cmp(&a.rank).then(b.place.cmp(&a.place));
            by_rank.then_with(|| a.path.cmp(&b.path)).then(a.start.cmp(&b.start)).then(a.rule.cmp(&b.rule))
        });
    }
    report.failures.sort_by(|a, b| a.path.cmp(&b.path));
    report
}
