//! Functions of regular expressions.

use super::functions::{self, is_match};
use crate::functions::Function;
use crate::functions::call::{binary, ternary, unary};
use crate::functions::define::{scalar, set};
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(1254, "textregexeq", &[TEXT, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, false), a)),
    scalar(1658, "bpcharregexeq", &[BPCHAR, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, false), a)),
    scalar(1256, "textregexne", &[TEXT, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, false).map(|found| !found), a)),
    scalar(1659, "bpcharregexne", &[BPCHAR, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, false).map(|found| !found), a)),
    scalar(1238, "texticregexeq", &[TEXT, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, true), a)),
    scalar(1656, "bpcharicregexeq", &[BPCHAR, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, true), a)),
    scalar(1239, "texticregexne", &[TEXT, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, true).map(|found| !found), a)),
    scalar(1657, "bpcharicregexne", &[BPCHAR, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, true).map(|found| !found), a)),
    scalar(79, "nameregexeq", &[NAME, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, false), a)),
    scalar(1252, "nameregexne", &[NAME, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, false).map(|found| !found), a)),
    scalar(1240, "nameicregexeq", &[NAME, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, true), a)),
    scalar(1241, "nameicregexne", &[NAME, TEXT], BOOL, |_, a| binary(|x: &str, y: &str| is_match(x, y, true).map(|found| !found), a)),
    scalar(3397, "regexp_match", &[TEXT, TEXT, TEXT], TEXT_ARRAY, functions::first_match),
    scalar(3396, "regexp_match", &[TEXT, TEXT], TEXT_ARRAY, functions::first_match),
    set(2764, "regexp_matches", &[TEXT, TEXT, TEXT], TEXT_ARRAY, functions::all_matches),
    set(2763, "regexp_matches", &[TEXT, TEXT], TEXT_ARRAY, functions::all_matches),
    scalar(2768, "regexp_split_to_array", &[TEXT, TEXT, TEXT], TEXT_ARRAY, functions::split_to_array),
    scalar(2767, "regexp_split_to_array", &[TEXT, TEXT], TEXT_ARRAY, functions::split_to_array),
    set(2766, "regexp_split_to_table", &[TEXT, TEXT, TEXT], TEXT, functions::split_to_table),
    set(2765, "regexp_split_to_table", &[TEXT, TEXT], TEXT, functions::split_to_table),
    scalar(2284, "regexp_replace", &[TEXT, TEXT, TEXT], TEXT, functions::replace),
    scalar(2285, "regexp_replace", &[TEXT, TEXT, TEXT, TEXT], TEXT, functions::replace),
    scalar(6251, "regexp_replace", &[TEXT, TEXT, TEXT, INT4, INT4, TEXT], TEXT, functions::replace_nth),
    scalar(6253, "regexp_replace", &[TEXT, TEXT, TEXT, INT4], TEXT, functions::replace_nth),
    scalar(6252, "regexp_replace", &[TEXT, TEXT, TEXT, INT4, INT4], TEXT, functions::replace_nth),
    scalar(6256, "regexp_count", &[TEXT, TEXT, INT4, TEXT], INT4, functions::count),
    scalar(6254, "regexp_count", &[TEXT, TEXT], INT4, functions::count),
    scalar(6255, "regexp_count", &[TEXT, TEXT, INT4], INT4, functions::count),
    scalar(6264, "regexp_like", &[TEXT, TEXT, TEXT], BOOL, functions::like),
    scalar(6263, "regexp_like", &[TEXT, TEXT], BOOL, functions::like),
    scalar(6257, "regexp_instr", &[TEXT, TEXT], INT4, functions::instr),
    scalar(6258, "regexp_instr", &[TEXT, TEXT, INT4], INT4, functions::instr),
    scalar(6259, "regexp_instr", &[TEXT, TEXT, INT4, INT4], INT4, functions::instr),
    scalar(6260, "regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4], INT4, functions::instr),
    scalar(6261, "regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4, TEXT], INT4, functions::instr),
    scalar(6262, "regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4], INT4, functions::instr),
    scalar(6265, "regexp_substr", &[TEXT, TEXT], TEXT, functions::substr),
    scalar(6266, "regexp_substr", &[TEXT, TEXT, INT4], TEXT, functions::substr),
    scalar(6267, "regexp_substr", &[TEXT, TEXT, INT4, INT4], TEXT, functions::substr),
    scalar(6268, "regexp_substr", &[TEXT, TEXT, INT4, INT4, TEXT], TEXT, functions::substr),
    scalar(6269, "regexp_substr", &[TEXT, TEXT, INT4, INT4, TEXT, INT4], TEXT, functions::substr),
    scalar(2073, "substring", &[TEXT, TEXT], TEXT, |_, a| binary(functions::substring, a)),
    scalar(2074, "substring", &[TEXT, TEXT, TEXT], TEXT, |_, a| ternary(functions::substring_similar, a)),
    scalar(1987, "similar_to_escape", &[TEXT], TEXT, |_, a| unary(|x: &str| functions::similar_to_escape(x, None), a)),
    scalar(1986, "similar_to_escape", &[TEXT, TEXT], TEXT, |_, a| binary(|x: &str, y: &str| functions::similar_to_escape(x, Some(y)), a)),
    scalar(1623, "similar_escape", &[TEXT, TEXT], TEXT, |_, a| binary(functions::similar_escape, a)).lenient(),
];
