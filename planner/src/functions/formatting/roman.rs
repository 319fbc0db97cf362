//! Roman numerals.

const PARTS: [(i32, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// A number from 1 to 3999; fifteen `#` for any other.
pub fn roman(number: i64) -> String {
    let Some(mut rest) = i32::try_from(number).ok().filter(|number| (1..=3999).contains(number)) else {
        return "#".repeat(15);
    };
    let mut out = String::new();
    for (value, letters) in PARTS {
        while rest >= value {
            out.push_str(letters);
            rest -= value;
        }
    }
    out
}
