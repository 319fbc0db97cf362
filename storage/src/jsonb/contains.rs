//! Containment (`@>`): whether every part of one document occurs in another.

use super::{JsonRef, Jsonb};

/// A question under way: does `outer` contain `inner`?
struct Question<'a> {
    outer: JsonRef<'a>,
    inner: JsonRef<'a>,
    /// Child of `inner` under examination.
    wanted: usize,
    /// Child of `outer` it is compared with (arrays: one after the other until one contains it).
    candidate: usize,
}

/// What a question does next.
enum Answer<'a> {
    Done(bool),
    Ask(JsonRef<'a>, JsonRef<'a>),
}

impl Jsonb {
    /// Whether this contains `other` by PostgreSQL's rules: objects by members, arrays as sets of elements, and a top-level
    /// array contains a scalar that is one of its elements.
    pub fn contains(&self, other: &Jsonb) -> bool {
        let (outer, inner) = (self.view(), other.view());
        if inner.is_scalar() {
            return outer.equals_scalar(inner) || outer.elements().any(|element| element.equals_scalar(inner));
        }
        contains(outer, inner)
    }
}

/// Containment of containers. Without recursion (J4): a question about children is pushed, its answer goes to its asker.
fn contains(outer: JsonRef<'_>, inner: JsonRef<'_>) -> bool {
    let mut open: Vec<Question<'_>> = Vec::new();
    let mut ask = Some((outer, inner));
    loop {
        let mut answer = None;
        if let Some((outer, inner)) = ask.take() {
            if outer.kind() != inner.kind() || (outer.is_object() && outer.len() < inner.len()) {
                answer = Some(false);
            } else {
                open.push(Question {
                    outer,
                    inner,
                    wanted: 0,
                    candidate: 0,
                });
            }
        }
        loop {
            let Some(question) = open.last_mut() else {
                return answer.unwrap_or(false);
            };
            match question.proceed(answer.take()) {
                Answer::Done(value) => {
                    open.pop();
                    answer = Some(value);
                }
                Answer::Ask(outer, inner) => {
                    ask = Some((outer, inner));
                    break;
                }
            }
        }
    }
}

impl<'a> Question<'a> {
    /// Goes on until a question about children comes up or the answer is known.
    fn proceed(&mut self, answer: Option<bool>) -> Answer<'a> {
        match (answer, self.outer.is_object()) {
            (Some(false), true) => return Answer::Done(false),
            (Some(false), false) => self.candidate += 1,
            (Some(true), _) => {
                self.wanted += 1;
                self.candidate = 0;
            }
            (None, _) => {}
        }
        if self.outer.is_object() {
            self.proceed_object()
        } else {
            self.proceed_array()
        }
    }

    fn proceed_object(&mut self) -> Answer<'a> {
        while let Some((key, inner)) = self.inner.member(self.wanted) {
            let found = self.outer.find(key).ok().and_then(|index| self.outer.member(index));
            match found {
                Some((_, outer)) if inner.is_scalar() && outer.equals_scalar(inner) => self.wanted += 1,
                Some((_, outer)) if !inner.is_scalar() && outer.kind() == inner.kind() => {
                    return Answer::Ask(outer, inner);
                }
                _ => return Answer::Done(false),
            }
        }
        Answer::Done(true)
    }

    fn proceed_array(&mut self) -> Answer<'a> {
        while let Some(inner) = self.inner.element_at(self.wanted) {
            if inner.is_scalar() {
                if !self.outer.elements().any(|element| element.equals_scalar(inner)) {
                    return Answer::Done(false);
                }
                self.wanted += 1;
                self.candidate = 0;
                continue;
            }
            while let Some(outer) = self.outer.element_at(self.candidate) {
                if outer.kind() == inner.kind() {
                    return Answer::Ask(outer, inner);
                }
                self.candidate += 1;
            }
            return Answer::Done(false);
        }
        Answer::Done(true)
    }
}
