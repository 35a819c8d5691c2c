//! From the ways to name a function to the function that is meant.

use firelet_types::{FunctionArn, FunctionIdentifier, FunctionName, Qualifier, Region, Scope};

use crate::error::{Error, InvalidParameter, NotFound};

/// The pattern of the model for names that callers look up.
const PATTERN: &str = "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";

/// The function, version or alias that a request means, in the scope of the request. It may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The account and Region of the request, which are those of the function.
    pub scope: Scope,
    /// The bare name as written; longer, or of other characters, than a function's name may be.
    pub name: String,
    /// The version or alias, from the name or from the query.
    pub qualifier: Option<Qualifier>,
}

/// Finds what `name` and `qualifier` of a request mean.
///
/// # Errors
/// When the name is of another account or Region, or carries another qualifier.
pub fn resolve(scope: &Scope, name: &str, qualifier: Option<&str>) -> Result<Target, Error> {
    let identifier: FunctionIdentifier = name.parse().map_err(|_| malformed(name))?;
    if identifier.account.is_some_and(|account| account != scope.account) {
        return Err(Error::OtherAccount);
    }
    check_region(scope, identifier.region)?;
    let specified = qualifier.map(Qualifier::from);
    let qualifier = match (identifier.qualifier, specified) {
        (Some(derived), Some(specified)) if derived != specified => {
            return Err(InvalidParameter::QualifierMismatch.into());
        }
        (derived, specified) => specified.or(derived),
    };
    Ok(Target { scope: scope.clone(), name: identifier.name, qualifier })
}

fn malformed(name: &str) -> Error {
    let constraint = format!("Member must satisfy regular expression pattern: {PATTERN}");
    Error::Validation { value: name.to_owned(), path: "functionName", constraint }
}

fn check_region(scope: &Scope, region: Option<Region>) -> Result<(), NotFound> {
    match region {
        Some(theirs) if theirs != scope.region => {
            Err(NotFound::OtherRegion { theirs, ours: scope.region.clone() })
        }
        _ => Ok(()),
    }
}

impl Target {
    /// The name, if a function can have it.
    ///
    /// # Errors
    /// [`NotFound::Function`]: no function has such a name.
    pub fn function(&self) -> Result<FunctionName, Error> {
        self.name.parse().map_err(|_| self.not_found())
    }

    /// The name of a function that is changed as a whole, so that only `$LATEST` may qualify it.
    ///
    /// # Errors
    /// When a version or an alias is named, or no function can have the name.
    pub fn unqualified_function(&self) -> Result<FunctionName, Error> {
        match self.qualifier {
            None | Some(Qualifier::Latest) => self.function(),
            Some(_) => Err(InvalidParameter::QualifierNotPermitted.into()),
        }
    }

    /// The error that this function, version or alias does not exist.
    #[must_use]
    pub fn not_found(&self) -> Error {
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
        let arn = format!("{}{}", self.unqualified_arn(), qualifier.unwrap_or_default());
        NotFound::Function { arn }.into()
    }

    /// The same error for operations that report `$LATEST` where no version was named: Invoke, and those of reserved
    /// concurrency.
    #[must_use]
    pub fn latest_not_found(&self) -> Error {
        let qualifier = self.qualifier.clone().or(Some(Qualifier::Latest));
        Self { qualifier, ..self.clone() }.not_found()
    }

    /// The error that the function does not exist, whatever version or alias was meant.
    #[must_use]
    pub fn function_not_found(&self) -> Error {
        NotFound::Function { arn: self.unqualified_arn() }.into()
    }

    fn unqualified_arn(&self) -> String {
        let Scope { account, region } = &self.scope;
        format!("arn:{}:lambda:{region}:{account}:function:{}", region.partition(), self.name)
    }
}

/// The unqualified ARN of a function.
pub(crate) fn arn(scope: &Scope, name: &FunctionName) -> FunctionArn {
    FunctionArn { scope: scope.clone(), name: name.clone(), qualifier: None }
}
