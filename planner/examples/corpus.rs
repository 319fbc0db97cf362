//! Parses corpus files and lists failures.
use std::collections::BTreeMap;
fn main() {
    let mut total = 0;
    let mut bad = 0;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap();
        for stmt in split(&text) {
            total += 1;
            if let Err(e) = planner::parse::parse(&stmt) {
                bad += 1;
                let one: String = stmt.split_whitespace().collect::<Vec<_>>().join(" ");
                *kinds.entry(format!("{}", e.fields().message)).or_default() += 1;
                let p = e.fields().position.unwrap_or(0) as usize;
                println!(
                    "{}\t{}\t{}\t{}",
                    path.rsplit('/').next().unwrap(),
                    e,
                    p,
                    one.chars().take(300).collect::<String>()
                );
            }
        }
    }
    eprintln!("total {total} bad {bad}");
}
/// psql-like splitting
fn split(text: &str) -> Vec<String> {
    let mut out = vec![];
    let mut cur = String::new();
    let mut copy = false;
    let b: Vec<char> = text.chars().collect();
    let mut i = 0;
    let mut depth = 0;
    while i < b.len() {
        let c = b[i];
        if copy {
            let mut line = String::new();
            while i < b.len() && b[i] != '\n' {
                line.push(b[i]);
                i += 1;
            }
            i += 1;
            if line == "\\." {
                copy = false;
            }
            continue;
        }
        match c {
            '-' if b.get(i + 1) == Some(&'-') => {
                while i < b.len() && b[i] != '\n' {
                    i += 1;
                }
                continue;
            }
            '/' if b.get(i + 1) == Some(&'*') => {
                let mut d = 0;
                loop {
                    if i >= b.len() {
                        break;
                    }
                    if b[i] == '/' && b.get(i + 1) == Some(&'*') {
                        d += 1;
                        i += 2;
                    } else if b[i] == '*' && b.get(i + 1) == Some(&'/') {
                        d -= 1;
                        i += 2;
                        if d == 0 {
                            break;
                        }
                    } else {
                        i += 1;
                    }
                }
                continue;
            }
            '\'' => {
                let esc = i > 0 && (b[i - 1] == 'E' || b[i - 1] == 'e');
                cur.push(c);
                i += 1;
                while i < b.len() {
                    if esc && b[i] == '\\' {
                        cur.push(b[i]);
                        i += 1;
                        if i < b.len() {
                            cur.push(b[i]);
                            i += 1;
                        }
                        continue;
                    }
                    cur.push(b[i]);
                    if b[i] == '\'' {
                        i += 1;
                        break;
                    }
                    i += 1;
                }
                continue;
            }
            '"' => {
                cur.push(c);
                i += 1;
                while i < b.len() {
                    cur.push(b[i]);
                    if b[i] == '"' {
                        i += 1;
                        break;
                    }
                    i += 1;
                }
                continue;
            }
            '$' => {
                let mut j = i + 1;
                while j < b.len() && (b[j].is_alphanumeric() || b[j] == '_') {
                    j += 1;
                }
                if j < b.len() && b[j] == '$' && !(b[i + 1].is_ascii_digit()) {
                    let tag: String = b[i..=j].iter().collect();
                    let rest: String = b[j + 1..].iter().collect();
                    if let Some(p) = rest.find(&tag) {
                        let n = rest[..p].chars().count();
                        cur.push_str(&tag);
                        cur.extend(&b[j + 1..j + 1 + n]);
                        cur.push_str(&tag);
                        i = j + 1 + n + tag.chars().count();
                        continue;
                    }
                }
                cur.push(c);
                i += 1;
                continue;
            }
            '\\' => {
                // psql command to the end of line
                let mut line = String::new();
                while i < b.len() && b[i] != '\n' {
                    line.push(b[i]);
                    i += 1;
                }
                if line.starts_with("\\g") || line.starts_with("\\;") {
                    if !cur.trim().is_empty() {
                        out.push(std::mem::take(&mut cur));
                    }
                }
                cur.clear();
                continue;
            }
            '(' => {
                depth += 1;
                cur.push(c);
            }
            ')' => {
                depth -= 1;
                cur.push(c);
            }
            ';' if depth <= 0 => {
                depth = 0;
                if !cur.trim().is_empty() {
                    let u = cur.to_lowercase();
                    if u.trim_start().starts_with("copy") && u.contains("from stdin") {
                        copy = true;
                    }
                    out.push(std::mem::take(&mut cur));
                }
                cur.clear();
                if copy {
                    while i < b.len() && b[i] != '\n' {
                        i += 1;
                    }
                }
            }
            _ => cur.push(c),
        }
        i += 1;
    }
    out
}
