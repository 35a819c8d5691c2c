//! What the code of a function comes from: a zip or a container image, and never the one in place of the other.
//!
//! Nothing is asked about an image: no registry is reached from here.

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{Code, CodeObject, PackageType};
use firelet_types::ImageUri;

use crate::control::Control;
use crate::error::{Error, InvalidParameter};
use crate::package::{Package, Source};

/// Code as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// A zip.
    Zip(Source),
    /// A container image.
    Image(ImageUri),
}

impl Deployment {
    /// The code of a new function. What is not of its kind is not looked at, as on AWS:
    /// <https://github.com/boto/boto3/issues/2705>.
    pub(crate) fn of_creation(package_type: PackageType, code: model::FunctionCode) -> Result<Self, Error> {
        match package_type {
            PackageType::Zip => Source::of_creation(code).map(Self::Zip),
            PackageType::Image => image(code.image_uri.ok_or(InvalidParameter::NoCode)?),
        }
    }

    /// New code for a function of this kind.
    pub(crate) fn of_update(
        package_type: PackageType,
        request: &model::UpdateFunctionCodeRequest,
    ) -> Result<Self, Error> {
        let is_zip = request.zip_file.is_some() || request.s3_bucket.is_some() || request.s3_key.is_some();
        match (package_type, &request.image_uri) {
            (PackageType::Zip, None) => Source::of_update(request).map(Self::Zip),
            (PackageType::Zip, Some(_)) => Err(InvalidParameter::ImageForZip.into()),
            (PackageType::Image, Some(uri)) if !is_zip => image(uri.clone()),
            (PackageType::Image, _) => Err(InvalidParameter::ZipForImage.into()),
        }
    }
}

fn image(uri: String) -> Result<Deployment, Error> {
    let parsed = uri.parse().map_err(|_| InvalidParameter::SourceImage { uri })?;
    Ok(Deployment::Image(parsed))
}

/// Code that is taken in. What it needs stays stored while this is held or a record names it.
#[derive(Debug)]
pub(crate) enum Deployed {
    /// A zip, and where the caller keeps it if it is to stay there.
    Zip(Package, Option<CodeObject>),
    /// A container image.
    Image(ImageUri),
}

impl Deployed {
    /// The code as records have it.
    pub(crate) fn settle(&self) -> Settled {
        match self {
            Self::Zip(package, object) => Settled { code: package.code, image: None, object: object.clone() },
            Self::Image(uri) => {
                let code = Code { sha256: uri.digest(), size_bytes: 0, unzipped_bytes: 0 };
                Settled { code, image: Some(uri.clone()), object: None }
            }
        }
    }
}

/// Code as a record has it.
pub(crate) struct Settled {
    code: Code,
    image: Option<ImageUri>,
    object: Option<CodeObject>,
}

impl Settled {
    /// Puts the code in place of what a function had, which was of the same kind.
    pub(crate) fn replace(self, before: Definition) -> Result<Definition, InvalidParameter> {
        match (before.package_type, &self.image) {
            (PackageType::Zip, Some(_)) => return Err(InvalidParameter::ImageForZip),
            (PackageType::Image, None) => return Err(InvalidParameter::ZipForImage),
            (PackageType::Zip, None) | (PackageType::Image, Some(_)) => {}
        }
        Ok(Definition { code: self.code, image: self.image, code_object: self.object, ..before })
    }
}

impl Control {
    /// Takes the code of a function in.
    pub(crate) async fn deploy(&self, deployment: Deployment) -> Result<Deployed, Error> {
        match deployment {
            Deployment::Image(uri) => Ok(Deployed::Image(uri)),
            Deployment::Zip(source) => {
                let object = source.referred();
                Ok(Deployed::Zip(self.take_package(source).await?, object))
            }
        }
    }
}
