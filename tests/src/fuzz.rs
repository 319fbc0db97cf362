//! Byte fuzzing without an instrumented compiler: seeds, mutation, and inputs that were understood becoming seeds themselves.
//!
//! ```text
//!   seeds ─► pick ─► mutate ─► target(input) ─► understood: kept as a seed     panic, overflow, memory: the input is in FILE
//!     ▲                                              │
//!     └──────────────────────────────────────────────┘
//! ```
//!
//! `CAMBIUM_FUZZ_SECONDS` is the time of each target: a few seconds by default, ten minutes in soak runs. `CAMBIUM_FUZZ_SEED`
//! repeats a run. The input being tried is in a file all the time, because a stack overflow leaves nobody to print it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Bytes of an input at most.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Seeds kept at most.
const SEEDS_MAX: usize = 4000;
/// Stack of the thread that runs the target: that of the server's own threads.
const STACK_BYTES: usize = 2 << 20;
/// An input may take this long, in a debug build on a busy machine.
const INPUT_TIME_MAX: Duration = Duration::from_secs(60);
/// Memory the whole process may grow by.
const MEMORY_MAX: u64 = 4 << 30;

/// What a target says of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was refused.
    Refused,
    /// It was understood: variations of it are worth trying.
    Understood,
}

/// Time for each target.
pub fn budget() -> Duration {
    let seconds = std::env::var("CAMBIUM_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(5))
}

/// Runs a target until the time is over.
///
/// # Panics
/// If the target panics, or takes too long or too much memory: the message names the file with the input.
pub fn run(
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    dictionary: &'static [&'static [u8]],
    target: impl FnMut(&[u8]) -> Verdict + Send + 'static,
) {
    bound_memory();
    let work = move || Fuzzer::new(name, seeds, dictionary).run(target);
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work);
    let thread = thread.expect("a thread can be started");
    if thread.join().is_err() {
        panic!("{name}: the input is in {}", input_path(name).display());
    }
}

/// Makes an explosion of memory an abort here, and not of the machine.
fn bound_memory() {
    let size = std::fs::read_to_string("/proc/self/statm").ok();
    let pages: u64 = size.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
    let limit = libc::rlimit {
        rlim_cur: pages * 4096 + MEMORY_MAX,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the structure is valid for the call; a refusal leaves the limit as it was.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) };
}

fn input_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cambium-fuzz-{name}-{}.input", std::process::id()))
}

struct Fuzzer {
    name: &'static str,
    random: StdRng,
    seeds: Vec<Vec<u8>>,
    dictionary: &'static [&'static [u8]],
    file: File,
}

impl Fuzzer {
    fn new(name: &'static str, seeds: Vec<Vec<u8>>, dictionary: &'static [&'static [u8]]) -> Fuzzer {
        let given = std::env::var("CAMBIUM_FUZZ_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
        println!("{name}: CAMBIUM_FUZZ_SEED={seed}");
        let file = File::create(input_path(name)).expect("the input can be written to a temporary file");
        Fuzzer {
            name,
            random: StdRng::seed_from_u64(seed),
            seeds,
            dictionary,
            file,
        }
    }

    fn run(mut self, mut target: impl FnMut(&[u8]) -> Verdict) {
        let (started, mut tried, mut understood) = (Instant::now(), 0_u64, 0_u64);
        let mut slowest = Duration::ZERO;
        // Seeds themselves come first: they show that the target works at all.
        let first = self.seeds.clone();
        let mut first = first.into_iter();
        while started.elapsed() < budget() {
            let input = first.next().unwrap_or_else(|| self.input());
            self.remember(&input);
            let begun = Instant::now();
            let verdict = target(&input);
            slowest = slowest.max(begun.elapsed());
            assert!(slowest < INPUT_TIME_MAX, "an input takes {slowest:?}");
            tried += 1;
            if verdict == Verdict::Understood {
                understood += 1;
                self.keep(input);
            }
        }
        println!(
            "{}: {tried} inputs, {understood} understood, {} seeds, slowest {slowest:?}",
            self.name,
            self.seeds.len()
        );
        assert!(understood > 0, "no input was understood: the target tests nothing");
        let _ = std::fs::remove_file(input_path(self.name));
    }

    /// Keeps the input where it can be found after the process has died.
    fn remember(&self, input: &[u8]) {
        let written = self
            .file
            .write_all_at(input, 0)
            .and_then(|()| self.file.set_len(input.len() as u64));
        written.expect("the input can be written to a temporary file");
    }

    fn keep(&mut self, input: Vec<u8>) {
        if self.seeds.len() < SEEDS_MAX {
            self.seeds.push(input);
        } else if self.random.random_ratio(1, 16) {
            let place = self.random.random_range(0..self.seeds.len());
            self.seeds[place] = input;
        }
    }

    /// A seed, changed a few times.
    fn input(&mut self) -> Vec<u8> {
        let mut input = self.seeds.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..1_u32 << self.random.random_range(0..5) {
            self.mutate(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn place(&mut self, input: &[u8]) -> usize {
        self.random.random_range(0..=input.len())
    }

    fn part(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let from = self.place(input);
        let size = self.random.random_range(0..=(input.len() - from).min(64));
        from..from + size
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        const BYTES: [u8; 16] = [0, 1, 2, 4, 8, 16, 32, 64, 127, 128, 255, 254, b'"', b'\\', b'(', b'['];
        match self.random.random_range(0..10) {
            0 if !input.is_empty() => {
                let at = self.random.random_range(0..input.len());
                input[at] ^= 1 << self.random.random_range(0..8);
            }
            1 if !input.is_empty() => {
                let at = self.random.random_range(0..input.len());
                input[at] = BYTES.choose(&mut self.random).copied().unwrap_or_default();
            }
            2 => {
                let at = self.place(input);
                input.insert(at, self.random.random());
            }
            3 => {
                let part = self.part(input);
                input.drain(part);
            }
            // Something repeated: nesting, long lists.
            4 => {
                let part = self.part(input);
                let at = self.place(input);
                let copies = 1_usize << self.random.random_range(0..if part.len() < 8 { 13 } else { 4 });
                let repeated = input[part].repeat(copies);
                input.splice(at..at, repeated);
            }
            // The end of another seed behind the beginning of this one.
            5 => {
                let other = self.seeds.choose(&mut self.random).cloned().unwrap_or_default();
                let (at, from) = (self.place(input), self.place(&other));
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            // A piece of another seed in the middle.
            6 => {
                let other = self.seeds.choose(&mut self.random).cloned().unwrap_or_default();
                let (part, at) = (self.part(&other), self.place(input));
                input.splice(at..at, other[part].iter().copied());
            }
            // A number where there was one.
            7 if input.len() >= 4 => {
                let at = self.random.random_range(0..=input.len() - 4);
                let number: u32 = [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x8000_0000, 255, 256, 65_535]
                    .choose(&mut self.random)
                    .copied()
                    .unwrap_or_default();
                input[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => {
                let word = self.dictionary.choose(&mut self.random).copied().unwrap_or_default();
                let at = self.place(input);
                let until = (at + self.random.random_range(0..4)).min(input.len());
                input.splice(at..until, word.iter().copied());
            }
        }
    }
}
