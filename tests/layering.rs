//! The table in `src/docs/architecture.md` is the law: who may import whom, and which modules are pure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Module {
    pure: bool,
    may_import: Vec<String>,
}

fn table() -> BTreeMap<String, Module> {
    let text =
        fs::read_to_string("src/docs/architecture.md").expect("the architecture page is in the repository");
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let name = cells.get(2)?.strip_prefix('`')?.strip_suffix('`')?;
            let may_import =
                cells[5].split(',').map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()).collect();
            Some((name.to_owned(), Module { pure: cells[3] == "pure", may_import }))
        })
        .collect()
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder").map(|e| e.expect("a readable entry").path()) {
        if entry.is_dir() {
            rust_files(&entry, out);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            out.push(entry);
        }
    }
}

/// The module of a file: its first folder (or file stem) below `src`.
fn module_of(file: &Path) -> String {
    let below = file.strip_prefix("src").expect("a file below src");
    let first = below.components().next().expect("a path has a component").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = table();
    assert!(table.len() > 20, "the table was not understood");
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let module = module_of(&file);
        if module == "lib" || module == "main" || is_test_file(&file) {
            continue;
        }
        let Some(rules) = table.get(&module) else {
            wrong.push(format!("{}: module {module} is not in the table", file.display()));
            continue;
        };
        let text = fs::read_to_string(&file).expect("a readable source file");
        let tests_from = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
        for (number, line) in text[..tests_from].lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for imported in imports(code) {
                if imported != module
                    && table.contains_key(&imported)
                    && !rules.may_import.contains(&imported)
                {
                    wrong.push(format!(
                        "{}:{}: {module} may not import {imported}",
                        file.display(),
                        number + 1
                    ));
                }
            }
            if rules.pure {
                for banned in ["tokio", "kube", "git2", "axum", "notify"] {
                    if code.contains(&format!("{banned}::")) {
                        wrong.push(format!(
                            "{}:{}: a pure module names {banned}",
                            file.display(),
                            number + 1
                        ));
                    }
                }
                for banned in [
                    "Instant::now",
                    "SystemTime::now",
                    "Timestamp::now",
                    "std::env",
                    "std::fs",
                    "TcpStream",
                    "UdpSocket",
                ] {
                    if code.contains(banned) {
                        wrong.push(format!(
                            "{}:{}: a pure module reads {banned}",
                            file.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files that only tests are built with: `tests.rs`, `testing.rs`, `layer_tests.rs`, the model of the engine.
fn is_test_file(file: &Path) -> bool {
    if file.parent().is_some_and(|folder| folder.ends_with("engine/model")) {
        return true;
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem == "tests" || stem == "testing" || stem.ends_with("_tests")
}

/// Modules named behind `crate::`, also in `use crate::{a, b}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}
