//! The rules of the house that no compiler checks: which crate may import which, siblings that
//! never import each other, and what may not stand in a file.
//!
//! The crates' arrows come from `cargo metadata`; the rest is a reading of the source tree. The
//! reading knows Rust's words, not its meaning: a sibling reached through a re-export of the
//! crate's root is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{self, Package, Tally};

/// Who may import whom, among our own crates. Dev-dependencies may add to it.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "countersign",
        &[
            "points",
            "databases",
            "console",
            "channels",
            "evidence",
            "search",
            "transparency",
            "gateway",
            "policy",
            "store",
            "identity",
            "mask",
            "domain",
            "audit",
            "verify",
        ],
    ),
    ("points", &["gateway", "search", "mask", "domain"]),
    ("console", &["gateway", "search", "mask", "domain"]),
    ("channels", &["gateway", "outbound", "mask", "domain"]),
    ("databases", &["gateway", "postgres", "sql", "mask", "domain"]),
    ("postgres", &["mask", "domain"]),
    ("evidence", &["gateway", "store", "verify", "mask", "outbound", "audit", "domain"]),
    ("gateway", &["policy", "store", "identity", "mask", "domain", "assertion"]),
    ("search", &["store", "mask", "domain"]),
    ("transparency", &["store", "audit", "domain"]),
    ("mask", &[]),
    ("outbound", &[]),
    ("sql", &["domain"]),
    ("policy", &["domain"]),
    ("identity", &["domain", "assertion"]),
    ("store", &["audit", "domain"]),
    ("verify", &["assertion", "audit", "domain"]),
    ("demo", &["softkey"]),
    ("softkey", &[]),
    ("audit", &[]),
    ("domain", &[]),
    ("assertion", &[]),
    ("xtask", &[]),
];

/// Crates whose folders are siblings: each folder of their `src` is a room of its own.
const SIBLINGS: [&str; 2] = ["points", "channels"];

/// Folders of those crates that are no rooms: what their rooms share, and too much for one file.
const SHARED: [&str; 4] = ["channels/card", "channels/click", "channels/deliver", "channels/tests"];

/// The longest that a file of Rust may be, in lines.
const LINES: usize = 900;

/// Absolute paths that name somebody's machine. In pieces, so that this file does not hold them.
const MACHINE_PATHS: [&str; 2] = [concat!("/", "root", "/"), concat!("/", "work", "/")];

/// Words that say that something is not there yet, when a `!` follows.
const UNFINISHED: [&str; 2] = ["todo", "unimplemented"];

/// Folders that are not ours to check: made by tools, and ignored by git.
const SKIPPED: [&str; 7] =
    [".git", ".tools", "target", "node_modules", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];

/// Checks every rule; each rule counts as one check.
pub(crate) fn arrows(root: &Path) -> Result<Tally> {
    let packages = run::metadata()?.packages;
    let files = read_tree(root)?;
    let each = |rule: fn(&File) -> Vec<String>| files.iter().flat_map(rule).collect::<Vec<_>>();
    let rules = [
        ("crates import only downward", imports(&packages)),
        ("siblings do not import each other", siblings(&files)),
        ("no file of Rust is too long", each(length)),
        ("no path of a machine", each(machine_paths)),
        ("nothing is left unfinished", each(unfinished)),
        ("every known bypass has its tests", bypasses(&files)),
    ];
    let mut tally = Tally::default();
    for (rule, broken) in rules {
        println!("{rule}: {}", if broken.is_empty() { "ok" } else { "BROKEN" });
        for line in &broken {
            println!("  {line}");
        }
        tally += Tally::one(broken.is_empty());
    }
    Ok(tally)
}

/// A text file of the repository; its path is relative to the root, with `/`.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every text file of the tree, in the order of their paths.
fn read_tree(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        let entries = fs::read_dir(&here).with_context(|| format!("cannot read `{folder}`"))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            if SKIPPED.contains(&path.as_str()) || SKIPPED.contains(&name.as_str()) {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                // Not text, or gone since we listed the folder.
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn imports(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut broken = Vec::new();
    for package in packages {
        let row = ARROWS.iter().find(|(name, _)| *name == package.name);
        let Some((_, allowed)) = row else {
            broken.push(format!("`{}` has no row in ARROWS: say what it may import", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_test = dependency.kind.as_deref() == Some("dev");
            if ours.contains(name) && !is_test && !allowed.contains(&name) {
                broken.push(format!("`{}` may not import `{name}`", package.name));
            }
        }
    }
    broken
}

fn siblings(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for name in SIBLINGS {
        let source = format!("crates/{name}/src/");
        let within: Vec<(Vec<&str>, &File)> = files
            .iter()
            .filter(|file| file.is_rust())
            .filter_map(|file| Some((module(file.path.strip_prefix(&source)?), file)))
            .collect();
        let rooms: BTreeSet<&str> = files
            .iter()
            .filter_map(|file| Some(file.path.strip_prefix(&source)?.split_once('/')?.0))
            .filter(|room| !SHARED.contains(&format!("{name}/{room}").as_str()))
            .collect();
        for (module, file) in within {
            let Some(room) = module.first().filter(|room| rooms.contains(*room)) else {
                continue; // shared by all, at the crate's root
            };
            // A group that names one sibling twice is told once.
            let imported: BTreeSet<(usize, String)> = paths(&file.text, &module)
                .into_iter()
                .filter_map(|(line, path)| Some((line, path.into_iter().next()?)))
                .filter(|(_, first)| first != room)
                .collect();
            for (line, first) in imported {
                let what = if first == "*" {
                    "imports all of the crate's root, siblings too: name what you need".to_owned()
                } else if rooms.contains(first.as_str()) {
                    format!("imports its sibling `{first}`")
                } else {
                    continue;
                };
                broken.push(format!("{}:{line} {what}", file.path));
            }
        }
    }
    broken
}

/// The module that a file is, from its path under `src`: `rest/hold.rs` is `rest::hold`.
fn module(path: &str) -> Vec<&str> {
    let mut names: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if names.last().is_some_and(|last| ["mod", "lib", "main"].contains(last)) {
        names.pop();
    }
    names
}

fn length(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    if !file.is_rust() || lines <= LINES {
        return Vec::new();
    }
    vec![format!("{} has {lines} lines, more than {LINES}: split it", file.path)]
}

fn machine_paths(file: &File) -> Vec<String> {
    let mut broken = Vec::new();
    for (line, text) in (1..).zip(file.text.lines()) {
        for path in MACHINE_PATHS {
            // Within a longer path, or after a host's name, it is no path of a machine.
            let absolute = text.match_indices(path).any(|(at, _)| {
                let before = text.get(..at).and_then(|text| text.chars().next_back());
                before.is_none_or(|before| !before.is_alphanumeric() && !"_-.~/})".contains(before))
            });
            if absolute {
                broken.push(format!("{}:{line} names `{path}`, a machine's folder", file.path));
            }
        }
    }
    broken
}

fn unfinished(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let tokens = tokens(&file.text);
    let next = tokens.iter().skip(1);
    tokens
        .iter()
        .zip(next)
        .filter_map(|((line, token), (_, next))| match token {
            Token::Word(word) if *next == Token::Mark('!') => {
                UNFINISHED.contains(&word.as_str()).then(|| format!("{}:{line} {word}!", file.path))
            }
            Token::Word(_) | Token::Mark(_) | Token::Path => None,
        })
        .collect()
}

/// Where the known bypasses stand, each with the names of its tests.
const BYPASSES: &str = "docs/bypasses.md";

/// Every row of a table of bypasses names tests, and each of them stands in a file of tests: a function of Rust or
/// Python of that name, or a check of the console's suite in those words.
fn bypasses(files: &[File]) -> Vec<String> {
    let Some(table) = files.iter().find(|file| file.path == BYPASSES) else {
        return vec![format!("{BYPASSES} is not there")];
    };
    let sources: Vec<&File> = files
        .iter()
        .filter(|file| [".rs", ".py", ".mjs"].iter().any(|end| file.path.ends_with(end)))
        .collect();
    let stands = |name: &str| {
        let forms = [format!("fn {name}("), format!("def {name}("), format!("check(\"{name}\"")];
        sources.iter().any(|file| forms.iter().any(|form| file.text.contains(form)))
    };
    let mut broken = Vec::new();
    for (line, row) in (1..).zip(table.text.lines()).filter(|(_, row)| row.starts_with("| ")) {
        let Some(tests) = row.trim_end_matches([' ', '|']).rsplit('|').next() else { continue };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && tests.trim() != "tests" {
            broken.push(format!("{BYPASSES}:{line} names no test"));
        }
        let gone = names.iter().filter(|name| !stands(name));
        broken
            .extend(gone.map(|name| format!("{BYPASSES}:{line} names `{name}`, and there is no such test")));
    }
    broken
}

/// Every path in a file that begins at `crate`, `super` or `self`, from the crate's root, with the
/// line it stands on. `module` is the module that the file is. A group gives one path for each of
/// its members, and `*` stands for all.
fn paths(text: &str, module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(text);
    let mut module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
    let mut braces = Vec::new(); // whether each open one is a module's
    let mut found = Vec::new();
    for (at, (line, token)) in tokens.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        match token {
            Token::Mark('{') => {
                let name = match (before(2), before(1)) {
                    (Some((_, Token::Word(word))), Some((_, Token::Word(name)))) => {
                        (word == "mod").then_some(name)
                    }
                    _ => None,
                };
                module.extend(name.cloned());
                braces.push(name.is_some());
            }
            Token::Mark('}') => {
                if braces.pop() == Some(true) {
                    module.pop();
                }
            }
            Token::Word(word) if ["crate", "super", "self"].contains(&word.as_str()) => {
                if before(1).is_none_or(|(_, token)| *token != Token::Path) {
                    let mut targets = Vec::new();
                    tree(&tokens, at, module.clone(), &mut targets);
                    found.extend(targets.into_iter().map(|target| (*line, target)));
                }
            }
            Token::Word(_) | Token::Mark(_) | Token::Path => {}
        }
    }
    found
}

/// Follows the path or use-tree that begins at a token, and says where it ends.
fn tree(
    tokens: &[(usize, Token)],
    mut at: usize,
    mut base: Vec<String>,
    targets: &mut Vec<Vec<String>>,
) -> usize {
    loop {
        let token = |at: usize| tokens.get(at).map(|(_, token)| token);
        match token(at) {
            Some(Token::Word(word)) => {
                match word.as_str() {
                    "crate" => base.clear(),
                    "super" => drop(base.pop()),
                    "self" => {}
                    name => base.push(name.to_owned()),
                }
                at += 1;
                if token(at) == Some(&Token::Path) {
                    at += 1;
                } else {
                    targets.push(base);
                    return at;
                }
            }
            Some(Token::Mark('*')) => {
                base.push("*".to_owned());
                targets.push(base);
                return at + 1;
            }
            Some(Token::Mark('{')) => {
                at += 1;
                loop {
                    match token(at) {
                        Some(Token::Mark('}')) | None => return at + 1,
                        Some(Token::Word(_) | Token::Mark('*' | '{')) => {
                            at = tree(tokens, at, base.clone(), targets);
                        }
                        Some(Token::Mark(_) | Token::Path) => at += 1,
                    }
                }
            }
            Some(Token::Mark(_) | Token::Path) | None => {
                targets.push(base);
                return at;
            }
        }
    }
}

/// What is left of Rust when only imports matter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Mark(char),
}

/// The words and marks of a file, each with its line; comments and literals are left out.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(here) = reader.peek(0) {
        let line = reader.line;
        if here == '/' && reader.peek(1) == Some('/') {
            reader.skip_while(|char| char != '\n');
        } else if here == '/' && reader.peek(1) == Some('*') {
            reader.skip_comment();
        } else if here == '"' {
            reader.skip_string();
        } else if here == '\'' {
            reader.skip_char_or_tick();
        } else if here == ':' && reader.peek(1) == Some(':') {
            reader.skip(2);
            tokens.push((line, Token::Path));
        } else if is_word(here) {
            let word = reader.word();
            if !reader.skip_literal_after(&word) {
                tokens.push((line, Token::Word(word)));
            }
        } else {
            reader.skip(1);
            if !here.is_whitespace() {
                tokens.push((line, Token::Mark(here)));
            }
        }
    }
    tokens
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == Some('\n'));
            self.at += 1;
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.skip(1);
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(char) = self.peek(0).filter(|char| is_word(*char)) {
            word.push(char);
            self.skip(1);
        }
        word
    }

    /// Block comments nest.
    fn skip_comment(&mut self) {
        let mut depth = 0;
        while let Some(here) = self.peek(0) {
            match (here, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.skip(1);
                    continue;
                }
            }
            self.skip(2);
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.skip(1);
        while let Some(here) = self.peek(0) {
            self.skip(if here == '\\' { 2 } else { 1 });
            if here == '"' {
                return;
            }
        }
    }

    /// `'a'` and `'\n'` are characters, `'a` is a lifetime's tick before a word.
    fn skip_char_or_tick(&mut self) {
        if self.peek(1) == Some('\\') {
            self.skip(3);
            self.skip_while(|char| char != '\'');
            self.skip(1);
        } else if self.peek(2) == Some('\'') {
            self.skip(3);
        } else {
            self.skip(1);
        }
    }

    /// Skips the literal of which `word` was the prefix: `b"`, `r#"`, `c"`, `b'`. The `r#` of a raw
    /// name is skipped too; the name is the next word.
    fn skip_literal_after(&mut self, word: &str) -> bool {
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == Some('#')).count();
        let quoted = self.peek(hashes) == Some('"');
        match word {
            "r" | "br" | "cr" if quoted => {
                self.skip(hashes + 1);
                while self.peek(0).is_some() {
                    let closed =
                        self.peek(0) == Some('"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
                    self.skip(1);
                    if closed {
                        self.skip(hashes);
                        break;
                    }
                }
                true
            }
            "b" | "c" if quoted && hashes == 0 => {
                self.skip_string();
                true
            }
            "b" if self.peek(0) == Some('\'') => {
                self.skip_char_or_tick();
                true
            }
            "r" if hashes == 1 => {
                self.skip(1);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
            .collect();
        Package { name: name.to_owned(), dependencies }
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    /// What `text` breaks, as the file `path`, beside the points `http`, `rest` and `mcp`.
    fn check(path: &str, text: &str) -> Vec<String> {
        siblings(&[
            file("crates/points/src/http/mod.rs", ""),
            file("crates/points/src/mcp/mod.rs", ""),
            file("crates/points/src/rest/config.rs", ""),
            file(path, text),
        ])
    }

    #[test]
    fn a_crate_imports_only_what_its_row_allows() {
        let domain = || package("domain", &[("serde", None)]);
        let store = |kind| package("store", &[("domain", None), ("policy", kind)]);
        let policy = || package("policy", &[("domain", None)]);
        assert!(imports(&[domain(), store(Some("dev")), policy()]).is_empty());
        for kind in [None, Some("build")] {
            assert_eq!(imports(&[store(kind), policy()]), ["`store` may not import `policy`"]);
        }
    }

    #[test]
    fn a_crate_without_a_row_is_told() {
        assert_eq!(imports(&[package("new", &[])]).len(), 1);
    }

    #[test]
    fn no_arrow_leads_back() {
        fn reaches(from: &str, to: &str) -> bool {
            let row = ARROWS.iter().find(|(name, _)| *name == from);
            row.is_some_and(|(_, all)| all.iter().any(|next| *next == to || reaches(next, to)))
        }
        for (name, _) in ARROWS {
            assert!(!reaches(name, name), "{name} reaches itself");
        }
    }

    #[test]
    fn a_sibling_is_found_however_it_is_imported() {
        for text in [
            "use crate::http::Body;",
            "use crate::{config::A, http::{self, B}};",
            "use crate::{\n  config,\n  http,\n};",
            "pub(crate) use crate::http as web;",
            "fn f() { crate::http::go() }",
            "use super::super::http::Body;",
            "use super::super::{http, config};",
            "use self::super::super::http;",
            "use super::{super::http, parse};",
            "mod tests { use super::super::super::http; }",
            "use crate::r#http::Body;",
            "use crate::*;",
            "use super::super::*;",
            "fn f<'a>(x: &'a str) -> char { crate::http::go(x); 'x' }",
        ] {
            assert_eq!(check("crates/points/src/rest/hold.rs", text).len(), 1, "{text}");
        }
        assert_eq!(check("crates/points/src/rest/mod.rs", "use super::http;").len(), 1);
        assert_eq!(check("crates/points/src/rest.rs", "use super::http;").len(), 1);
        assert_eq!(check("crates/points/src/rest/a/b.rs", "use super::super::super::mcp;").len(), 1);
    }

    #[test]
    fn the_line_is_told() {
        let broken = check("crates/points/src/rest/hold.rs", "//! Why.\n\nuse crate::http::Body;\n");
        assert_eq!(broken, ["crates/points/src/rest/hold.rs:3 imports its sibling `http`"]);
    }

    #[test]
    fn what_is_no_sibling_is_left_alone() {
        for text in [
            "use http::Request;",
            "use crate::rest::parse;",
            "use super::http;",
            "use super::{parse, *};",
            "use crate::limits::BODY; use gateway::http;",
            "// use crate::http;\n/* use /* nested */ crate::http; */",
            "const A: &str = \"use crate::http\"; const B: &[u8] = b\"crate::http\";",
            "const A: &str = r#\"a \"quote\" crate::http\"#;",
            "const A: char = '\"'; const B: char = '\\''; const C: u8 = b'\"'; // crate::http",
            "mod tests { use super::super::http; }",
            "pub(crate) fn http() {}",
        ] {
            let broken = check("crates/points/src/rest/hold.rs", text);
            assert!(broken.is_empty(), "{text}: {broken:?}");
        }
        assert!(check("crates/points/src/lib.rs", "use crate::http; use self::rest;").is_empty());
        assert!(check("crates/console/src/rest/a.rs", "use crate::http;").is_empty());
    }

    #[test]
    fn a_long_file_of_rust_is_told() {
        assert!(length(&file("a.rs", &"\n".repeat(LINES))).is_empty());
        assert_eq!(length(&file("a.rs", &"\n".repeat(LINES + 1))).len(), 1);
        assert!(length(&file("Cargo.lock", &"\n".repeat(LINES + 1))).is_empty());
    }

    #[test]
    fn a_path_of_a_machine_is_told() {
        for path in MACHINE_PATHS {
            for before in ["", "\"", " ", "=", "file:"] {
                let broken = machine_paths(&file("a.md", &format!("one\ntwo {before}{path}x")));
                assert_eq!(broken.len(), 1, "{before}{path}");
            }
            for before in ["host", "a.b", "{base}", "../"] {
                let broken = machine_paths(&file("a.md", &format!("see {before}{path}x")));
                assert!(broken.is_empty(), "{before}{path}");
            }
        }
    }

    #[test]
    fn unfinished_code_is_told() {
        for word in UNFINISHED {
            assert_eq!(unfinished(&file("a.rs", &format!("fn f() {{ {word}!() }}"))).len(), 1);
            assert!(unfinished(&file("a.rs", &format!("// {word}!()\nlet {word} = 1;"))).is_empty());
            assert!(unfinished(&file("a.md", &format!("{word}!"))).is_empty());
        }
    }
}
