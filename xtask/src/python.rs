//! A Python with the packages of `tests/sdk/requirements.txt`, kept in the target folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::command::{Log, works};

/// The oldest Python that the packages run on.
const OLDEST: (u32, u32) = (3, 9);

/// How to get what is missing.
const ADVICE: &str = "install Python 3.9 or newer with its venv module \
                      (Debian, Ubuntu: apt install python3-venv; Fedora: dnf install python3; macOS: brew install python)";

/// A Python that can import the packages.
pub(crate) struct Python {
    program: OsString,
    /// Where the packages are, where they are not in a virtual environment.
    packages: Option<PathBuf>,
}

impl Python {
    /// Makes it, or finds the one made before; `Err` inside tells what is missing.
    pub(crate) fn ready(
        target: &Path,
        requirements: &Path,
        log: &mut Log,
    ) -> io::Result<Result<Self, String>> {
        let Some(system) = find() else { return Ok(Err(format!("no python3 found: {ADVICE}"))) };
        let wanted = fs::read_to_string(requirements)?;
        let (home, packages) = (target.join("venv"), target.join("venv-packages"));

        let venv = Self { program: program_of(&home), packages: None };
        if is_stamped(&home, &wanted) && venv.imports() {
            return Ok(Ok(venv));
        }
        let flat = Self { program: system.clone(), packages: Some(packages.clone()) };
        if is_stamped(&packages, &wanted) && flat.imports() {
            return Ok(Ok(flat));
        }
        if log.run(Command::new(&system).args(["-m", "venv", "--clear"]).arg(&home))? {
            if !log.run(pip(&venv.program).arg("--requirement").arg(requirements))? {
                return Ok(Err(not_installed(log)));
            }
            stamp(&home, &wanted)?;
            return Ok(Ok(venv));
        }
        // A Python without venv (Debian splits it off) may still have pip.
        if !works(Command::new(&system).args(["-m", "pip", "--version"])) {
            return Ok(Err(format!("python3 has neither venv nor pip: {ADVICE}")));
        }
        if packages.exists() {
            fs::remove_dir_all(&packages)?;
        }
        if !log.run(pip(&system).arg("--target").arg(&packages).arg("--requirement").arg(requirements))? {
            return Ok(Err(not_installed(log)));
        }
        stamp(&packages, &wanted)?;
        Ok(Ok(flat))
    }

    /// A command that runs `script`.
    pub(crate) fn script(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // What it prints is read while it runs, and the source tree stays as it was.
        command.arg("-u").arg("-B").arg(script);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
        command
    }

    fn imports(&self) -> bool {
        let mut command = Command::new(&self.program);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
        works(command.args(["-c", "import svix, standardwebhooks"]))
    }
}

fn find() -> Option<OsString> {
    let (major, minor) = OLDEST;
    let check = format!("import sys; sys.exit(sys.version_info < ({major}, {minor}))");
    ["python3", "python"]
        .into_iter()
        .map(OsString::from)
        .find(|name| works(Command::new(name).args(["-c", &check])))
}

fn program_of(venv: &Path) -> OsString {
    let inside = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    venv.join(inside).into_os_string()
}

fn pip(python: &OsString) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]);
    command
}

fn not_installed(log: &Log) -> String {
    let path = log.path().display();
    format!(
        "the packages of tests/sdk/requirements.txt could not be installed, is the network there? ({path})"
    )
}

/// Whether the packages in `home` are the wanted ones.
fn is_stamped(home: &Path, wanted: &str) -> bool {
    fs::read_to_string(home.join("plimsoll.stamp")).is_ok_and(|stamp| stamp == wanted)
}

fn stamp(home: &Path, wanted: &str) -> io::Result<()> {
    fs::write(home.join("plimsoll.stamp"), wanted)
}
