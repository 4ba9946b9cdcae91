//! One file per operation, or per closely tied group; this one only says which is where.

mod account;
mod create_function;
mod delete_function;
mod get_function;
mod invoke;
mod list_functions;
mod permissions;
mod provisioned;
mod reserved;
mod tags;
mod update_code;
mod update_configuration;
mod urls;
mod versions;

use crate::Functions;
use access::Permit;
use wire::Error;
use wire::lambda::*;

impl Lambda for Functions {
    type Cx = Permit;

    async fn add_permission(
        &self,
        _cx: &Permit,
        input: AddPermissionRequest,
    ) -> Result<AddPermissionResponse, Error> {
        Ok(permissions::add(self, input).await?)
    }

    async fn create_function(
        &self,
        _cx: &Permit,
        input: CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, Error> {
        Ok(create_function::create(self, input).await?)
    }

    async fn create_function_url_config(
        &self,
        _cx: &Permit,
        input: CreateFunctionUrlConfigRequest,
    ) -> Result<CreateFunctionUrlConfigResponse, Error> {
        Ok(urls::create(self, input).await?)
    }

    async fn delete_function(
        &self,
        _cx: &Permit,
        input: DeleteFunctionRequest,
    ) -> Result<DeleteFunctionResponse, Error> {
        Ok(delete_function::delete(self, input).await?)
    }

    async fn delete_function_concurrency(
        &self,
        _cx: &Permit,
        input: DeleteFunctionConcurrencyRequest,
    ) -> Result<(), Error> {
        Ok(reserved::delete(self, input).await?)
    }

    async fn delete_provisioned_concurrency_config(
        &self,
        _cx: &Permit,
        input: DeleteProvisionedConcurrencyConfigRequest,
    ) -> Result<(), Error> {
        Ok(provisioned::delete(self, input).await?)
    }

    async fn delete_function_url_config(
        &self,
        _cx: &Permit,
        input: DeleteFunctionUrlConfigRequest,
    ) -> Result<(), Error> {
        Ok(urls::delete(self, input).await?)
    }

    async fn get_account_settings(
        &self,
        _cx: &Permit,
        _input: GetAccountSettingsRequest,
    ) -> Result<GetAccountSettingsResponse, Error> {
        Ok(account::settings(self))
    }

    async fn get_function(
        &self,
        cx: &Permit,
        input: GetFunctionRequest,
    ) -> Result<GetFunctionResponse, Error> {
        Ok(get_function::get(self, cx, input)?)
    }

    async fn get_function_configuration(
        &self,
        _cx: &Permit,
        input: GetFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, Error> {
        Ok(get_function::configuration(self, input)?)
    }

    async fn get_function_concurrency(
        &self,
        _cx: &Permit,
        input: GetFunctionConcurrencyRequest,
    ) -> Result<GetFunctionConcurrencyResponse, Error> {
        Ok(reserved::get(self, input)?)
    }

    async fn get_function_url_config(
        &self,
        _cx: &Permit,
        input: GetFunctionUrlConfigRequest,
    ) -> Result<GetFunctionUrlConfigResponse, Error> {
        Ok(urls::get(self, input)?)
    }

    async fn get_policy(&self, _cx: &Permit, input: GetPolicyRequest) -> Result<GetPolicyResponse, Error> {
        Ok(permissions::get(self, input)?)
    }

    async fn get_provisioned_concurrency_config(
        &self,
        _cx: &Permit,
        input: GetProvisionedConcurrencyConfigRequest,
    ) -> Result<GetProvisionedConcurrencyConfigResponse, Error> {
        Ok(provisioned::get(self, input)?)
    }

    async fn invoke(&self, cx: &Permit, input: InvocationRequest) -> Result<InvocationResponse, Error> {
        invoke::invoke(self, cx, input).await
    }

    async fn list_function_url_configs(
        &self,
        _cx: &Permit,
        input: ListFunctionUrlConfigsRequest,
    ) -> Result<ListFunctionUrlConfigsResponse, Error> {
        Ok(urls::list(self, input)?)
    }

    async fn list_functions(
        &self,
        _cx: &Permit,
        input: ListFunctionsRequest,
    ) -> Result<ListFunctionsResponse, Error> {
        Ok(list_functions::list(self, input)?)
    }

    async fn list_versions_by_function(
        &self,
        _cx: &Permit,
        input: ListVersionsByFunctionRequest,
    ) -> Result<ListVersionsByFunctionResponse, Error> {
        Ok(versions::list(self, input)?)
    }

    async fn publish_version(
        &self,
        _cx: &Permit,
        input: PublishVersionRequest,
    ) -> Result<FunctionConfiguration, Error> {
        Ok(versions::publish(self, input).await?)
    }

    async fn list_tags(&self, _cx: &Permit, input: ListTagsRequest) -> Result<ListTagsResponse, Error> {
        Ok(tags::list(self, input)?)
    }

    async fn list_provisioned_concurrency_configs(
        &self,
        _cx: &Permit,
        input: ListProvisionedConcurrencyConfigsRequest,
    ) -> Result<ListProvisionedConcurrencyConfigsResponse, Error> {
        Ok(provisioned::list(self, input)?)
    }

    async fn put_function_concurrency(
        &self,
        _cx: &Permit,
        input: PutFunctionConcurrencyRequest,
    ) -> Result<Concurrency, Error> {
        Ok(reserved::put(self, input).await?)
    }

    async fn put_provisioned_concurrency_config(
        &self,
        _cx: &Permit,
        input: PutProvisionedConcurrencyConfigRequest,
    ) -> Result<PutProvisionedConcurrencyConfigResponse, Error> {
        Ok(provisioned::put(self, input).await?)
    }

    async fn remove_permission(&self, _cx: &Permit, input: RemovePermissionRequest) -> Result<(), Error> {
        Ok(permissions::remove(self, input).await?)
    }

    async fn tag_resource(&self, _cx: &Permit, input: TagResourceRequest) -> Result<(), Error> {
        Ok(tags::add(self, input).await?)
    }

    async fn untag_resource(&self, _cx: &Permit, input: UntagResourceRequest) -> Result<(), Error> {
        Ok(tags::remove(self, input).await?)
    }

    async fn update_function_code(
        &self,
        _cx: &Permit,
        input: UpdateFunctionCodeRequest,
    ) -> Result<FunctionConfiguration, Error> {
        Ok(update_code::update(self, input).await?)
    }

    async fn update_function_configuration(
        &self,
        _cx: &Permit,
        input: UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, Error> {
        Ok(update_configuration::update(self, input).await?)
    }

    async fn update_function_url_config(
        &self,
        _cx: &Permit,
        input: UpdateFunctionUrlConfigRequest,
    ) -> Result<UpdateFunctionUrlConfigResponse, Error> {
        Ok(urls::update(self, input).await?)
    }
}
