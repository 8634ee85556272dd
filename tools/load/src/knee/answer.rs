//! How an answer, or why there is none, is written: `{"found": …}` or `{"none": …}`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written<T, N> {
    Found(T),
    None(N),
}

pub(super) fn serialize<T: Serialize, N: Serialize, S: Serializer>(
    answer: &Result<T, N>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match answer {
        Ok(found) => Written::<&T, &N>::Found(found),
        Err(none) => Written::None(none),
    }
    .serialize(to)
}

pub(super) fn deserialize<'from, T: Deserialize<'from>, N: Deserialize<'from>, D: Deserializer<'from>>(
    from: D,
) -> Result<Result<T, N>, D::Error> {
    Ok(match Written::<T, N>::deserialize(from)? {
        Written::Found(found) => Ok(found),
        Written::None(none) => Err(none),
    })
}
