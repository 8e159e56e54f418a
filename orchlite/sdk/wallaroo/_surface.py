"""What the platform's SDK has, by name: the table that tells what is absent here from what never existed.

Facts only, read by a script off the SDK of the version that `wallaroo.__version__` names. The text of a module is lines of
`class NAME members`, `classes names` (without members), `error NAME base`, `enum NAME member=value members` (no value: the member in
lower case with dashes; in a `str-enum` members are strings, in a `text-enum` they print as their value too), `function names`,
`constant names`, `import module.name` (or `module.name:as`). What does not fit in one line goes on in the next with the same beginning.
"""

from __future__ import annotations

# Machine-written modules of the SDK: not listed, any public name in them is taken to exist.
OPEN_MODULES = ("records", "wallaroo_ml_ops_api_client")

MODULES = {
    "": "import client.Client deployment_config.DeploymentConfigBuilder",
    "assay": """
    class Assay active alert_threshold get_assay_info id name pipeline_id pipeline_name set_alert_threshold set_warning_threshold status
    class Assay turn_off turn_on warning_threshold workspace_id workspace_name
    class AssayAnalysis baseline_bins baseline_stats chart compare_basic_stats compare_bins
    class AssayAnalysisList chart_iopaths chart_scores to_dataframe to_full_dataframe
    classes Assays
    function dict_list_to_dataframe edge_df meta_df
    import object.Object object.RequiredAttributeMissing object.rehydrate object.value_if_present
    """,
    "assay_config": """
    str-enum Aggregation EDGES=Edges DENSITY=Density CUMULATIVE=Cumulative
    class AssayBuilder add_active add_alert_threshold add_baseline add_iopath add_location_filter add_name add_run_until add_summarizer
    class AssayBuilder add_warning_threshold add_window baseline_dataframe baseline_ecdf baseline_histogram baseline_kde build
    class AssayBuilder fixed_baseline_builder univariate_continuous_summarizer upload window_builder
    class AssayConfig interactive_baseline_run interactive_input_run interactive_input_run_arrow interactive_input_run_legacy
    class AssayConfig interactive_run to_json
    class BaselineBuilder build to_json
    class BaselineConfig to_json
    str-enum BinMode NONE=None EQUAL=Equal QUANTILE=Quantile PROVIDED=Provided
    class CalculatedBaseline to_json
    class FixedBaseline to_json
    class FixedWindowBaselineBuilder add_end add_iopath add_location_filter add_model_name add_start add_summarizer add_window
    class FixedWindowBaselineBuilder add_workspace_id build to_json
    str-enum Metric MAXDIFF=MaxDiff SUMDIFF=SumDiff PSI=PSI
    class StaticBaseline to_json
    class SummarizerBuilder build
    class SummarizerConfig to_json
    class UnivariateContinousSummarizerBuilder add_aggregation add_bin_edges add_bin_mode add_bin_weights add_metric add_num_bins build
    class UnivariateContinousSummarizerConfig to_json
    class VectorBaselineBuilder add_baseline_data add_summarizer add_window add_workspace_id build to_json
    class WindowBuilder add_interval add_location_filter add_model_name add_path add_start add_width add_workspace_id build
    class WindowConfig to_json
    function ConfigEncoder calc_bins
    import assay.AssayAnalysis assay.AssayAnalysisList custom_types.IAssayAnalysis custom_types.IAssayAnalysisList
    import exceptions.handle_errors utils.is_assays_v2_enabled
    """,
    "assays_v2": """
    import assays_v2.assay_v2.AssayV2 assays_v2.assay_v2.AssayV2List assays_v2.assay_v2_builder.AssayV2Builder
    import assays_v2.baseline.SummaryBaseline assays_v2.summarizer.Summarizer assays_v2.targeting.Targeting
    """,
    "assays_v2.assay_result_v2": """
    class AssayResultV2 alert_threshold analyzed_at assay_id chart compare_basic_stats compare_bins created_at elapsed_millis from_dict
    class AssayResultV2 id pipeline_id scores status summaries to_df_row to_dict updated_at v1_iopath warning_threshold window_end
    class AssayResultV2 window_start workspace_id workspace_name
    class AssayResultsList chart_iopaths chart_scores to_dataframe to_full_dataframe
    function dict_list_to_dataframe
    import assay.AssayAnalysis assay.AssayAnalysisList assays_v2.baseline.SummaryBaseline workspace.Workspace
    """,
    "assays_v2.assay_v2": """
    class AssayV2 builder pause results resume set_active
    classes AssayV2List
    import assays_v2.assay_result_v2.AssayResultV2 assays_v2.assay_result_v2.AssayResultsList assays_v2.baseline.StaticBaseline
    import assays_v2.baseline.SummaryBaseline assays_v2.scheduling.Scheduling assays_v2.summarizer.Summarizer
    import assays_v2.targeting.Targeting assays_v2.window.RollingWindow object.Object workspace.Workspace
    """,
    "assays_v2.assay_v2_builder": """
    class AssayV2Builder add_locations add_monitoring build cumulative_aggregation daily days_of_data density_aggregation
    class AssayV2Builder edge_aggregation equal_bins hourly hours_of_data max_diff_metric minutely minutes_of_data no_bins preview
    class AssayV2Builder psi_metric quantile_bins set_aggregation set_baseline set_bin_weights set_first_run set_locations set_metric
    class AssayV2Builder set_model set_monitoring set_name set_pipeline set_window_width sum_diff_metric weekly weeks_of_data
    import assay_config.Aggregation:V1Aggregation assay_config.AssayConfig:V1AssayConfig assay_config.Metric:V1Metric
    import assays_v2.baseline.StaticBaseline assays_v2.baseline.SummaryBaseline assays_v2.preview_result.PreviewResult
    import assays_v2.preview_result.PreviewResultList assays_v2.scheduling.Scheduling assays_v2.summarizer.Summarizer
    import assays_v2.targeting.Targeting assays_v2.window.RollingWindow workspace.Workspace
    """,
    "assays_v2.baseline": """
    class StaticBaseline from_dict static summarize to_dict
    class SummaryBaseline from_dict from_v1_summary summary to_dict
    function summarize_baseline_v2_from_v1_args summarize_baseline_v2_from_v1_config
    import assay_config.SummarizerConfig assay_config.AssayConfig:V1AssayConfig assay_config.BinMode:V1BinMode
    import assay_config.CalculatedBaseline:V1CalculatedBaseline assay_config.FixedBaseline:V1FixedBaseline
    import assay_config.StaticBaseline:V1StaticBaseline assay_config.UnivariateContinousSummarizerConfig:V1Summarizer
    import assay_config.WindowConfig assays_v2.summarizer.Summarizer assays_v2.targeting.Targeting
    """,
    "assays_v2.preview_result": """
    class PreviewResult chart compare_basic_stats compare_bins to_df_row
    class PreviewResultList chart_iopaths chart_scores to_dataframe to_full_dataframe
    function dict_list_to_dataframe
    import assays_v2.baseline.SummaryBaseline assays_v2.summarizer.Summarizer
    """,
    "assays_v2.scheduling": """
    class Scheduling end first_run from_dict run_frequency to_dict
    constant fmt
    import assay_config.AssayConfig:V1AssayConfig
    """,
    "assays_v2.summarizer": """
    class Summarizer from_dict from_v1_summarizer to_dict univariate_continuous
    import assay_config.AssayConfig:V1AssayConfig assay_config.BinMode:V1BinMode assay_config.Metric:V1Metric
    import assay_config.UnivariateContinousSummarizerConfig:V1Summarizer
    """,
    "assays_v2.targeting": """
    class Targeting data_origin from_dict from_v1_args iopath to_dict
    import assay_config.AssayConfig:V1AssayConfig assay_config.WindowConfig
    """,
    "assays_v2.window": """
    class RollingWindow from_dict to_dict width
    import assay_config.AssayConfig:V1AssayConfig
    """,
    "auth": """
    error AuthError Exception
    enum AuthType NONE= SSO= USER_PASSWORD=user_password TEST_AUTH=test_auth TOKEN= ORCH=
    class TokenData to_dict token user_email user_id
    error TokenFetchError AuthError
    error TokenRefreshError AuthError
    function create logout
    constant AUTH_PATH KEYCLOAK_CLIENT_NAME KEYCLOAK_REALM PASSWORD_VAR USER_VAR lock
    """,
    "client": """
    class Client activate_user auth build_assay build_pipeline create_connection create_model_registry create_tag create_workspace
    class Client deactivate_user deployment_by_name generate_upload_model_api_command get_assay_info get_assay_results get_connection
    class Client get_current_workspace get_email_by_id get_logs get_model get_pipeline get_pipeline_inference_dataframe get_raw_logs
    class Client get_raw_pipeline_inference_logs get_task_by_id get_topic_name get_urls get_user_by_email get_workspace httpx_client
    class Client in_task invite_user list_assays list_connections list_deployments list_model_registries list_models list_orchestrations
    class Client list_pipelines list_publishes list_tags list_tasks list_users list_workspaces mlops model_by_name model_version_by_name
    class Client pipelines_by_name register_model_image remove_edge search_model_versions search_models search_pipeline_versions
    class Client search_pipelines set_assay_active set_current_workspace task_args upload_assay upload_model upload_orchestration
    enum DataSizeUnit KiB=KiB MiB=MiB GiB=GiB TiB=TiB calculate_bytes from_string
    function inference_logs_to_dataframe nested_df_to_flattened_df
    constant ARROW_CONTENT_TYPE DEFAULT_MAX_DATA_SIZE DEFAULT_MAX_DATA_UNIT DEFAULT_MODEL_CONVERSION_PYTHON_VERSION
    constant DEFAULT_MODEL_CONVERSION_TIMEOUT DEFAULT_RECORDS_BY_TIME_LIMIT DEFAULT_RECORDS_LIMIT JSON_CONTENT_TYPE
    constant OCTET_STREAM_CONTENT_TYPE UPLOAD_MODEL_STREAM_SUPPORTED_FLAVORS WALLAROO_SDK_AUTH_TYPE WALLAROO_URL
    import assay.Assay assay.AssayAnalysis assay.AssayAnalysisList assay.Assays assay_config.AssayBuilder assay_config.AssayConfig
    import assay_config.UnivariateContinousSummarizerConfig assay_config.CalculatedBaseline:V1CalculatedBaseline
    import assay_config.FixedBaseline:V1FixedBaseline assay_config.StaticBaseline:V1StaticBaseline assays_v2.assay_v2.AssayV2
    import assays_v2.assay_v2.AssayV2List assays_v2.baseline.SummaryBaseline assays_v2.summarizer.Summarizer
    import assays_v2.targeting.Targeting connection.Connection connection.ConnectionList custom_types.IAssayAnalysisList
    import deployment.Deployment engine_config.Acceleration engine_config.AccelerationWithConfig engine_config.Architecture
    import engine_config.InvalidAccelerationError exceptions.ModelUploadError exceptions.handle_errors framework.Framework
    import framework.FrameworkConfig model.Model model.ModelList model_config.ModelConfig model_registry.ModelRegistriesList
    import model_registry.ModelRegistry model_version.ModelVersion model_version.ModelVersionList object.EntityNotFoundError
    import object.ModelConversionError object.ModelConversionTimeoutError orchestration.Orchestration pipeline.Pipeline
    import pipeline.Pipelines pipeline_config.PipelineConfig pipeline_publish.PipelinePublish pipeline_publish.PipelinePublishList
    import pipeline_version.PipelineVersion pipeline_version.PipelineVersionList tag.Tag tag.Tags task.Task user.User
    import utils.create_new_file utils.is_assays_v2_enabled utils.require_dns_compliance utils.write_to_file workspace.Workspace
    """,
    "comment": """
    class Comment add_to_model add_to_pipeline id list_model_versions list_pipelines message remove_from_model remove_from_pipeline
    class Comment updated_at user_id
    import model_version.ModelVersion object.DehydratedValue object.Object object.RequiredAttributeMissing object.rehydrate
    import object.value_if_present pipeline.Pipeline
    """,
    "config": "",
    "connection": """
    class Connection add_connection_to_workspace connection_type create_connection created_at delete_connection details get_connection
    class Connection id list_connections name remove_connection_from_workspace workspace_names
    classes ConnectionList
    import object.Object object.RequiredAttributeMissing object.rehydrate object.value_if_present
    """,
    "continuous_batching_config": "class ContinuousBatchingConfig model_config",
    "custom_types": """
    class IAssayAnalysis chart compare_basic_stats compare_bins
    class IAssayAnalysisList chart_iopaths chart_scores to_dataframe to_full_dataframe
    """,
    "deployment": """
    class Deployment async_infer deploy deployed engine_config id infer infer_from_file internal_url model_configs name pipeline_name
    class Deployment pipeline_versions replace_configured_model replace_model status undeploy url wait_for_running wait_for_undeployed
    error WaitForDeployError RuntimeError
    error WaitForError Exception
    constant ARROW_FORMAT ARROW_HEADER CUSTOM_JSON_FORMAT DEFAULT_RETRIES JSON_HEADER PANDAS_RECORDS_FORMAT PANDAS_RECORDS_HEADER
    import exceptions.InferenceError exceptions.InferenceTimeoutError exceptions.handle_errors model_config.ModelConfig
    import object.CommunicationError object.DehydratedValue object.EntityNotFoundError object.LimitError object.Object
    import object.RequiredAttributeMissing object.rehydrate object.value_if_present
    """,
    "deployment_config": """
    class DeploymentConfigBuilder accel arch autoscale_cpu_utilization autoscaling_window build convert_acceleration
    class DeploymentConfigBuilder convert_acceleration_dict_to_qaic convert_acceleration_to_string cpus deployment_label
    class DeploymentConfigBuilder disable_autoscale gpus image lb_cpus lb_memory memory python_load_timeout_secs
    class DeploymentConfigBuilder replica_autoscale_min_max replica_count scale_down_queue_depth scale_up_queue_depth sidekick_accel
    class DeploymentConfigBuilder sidekick_arch sidekick_cpus sidekick_env sidekick_gpus sidekick_memory
    classes DeploymentConfig
    import engine_config.Acceleration engine_config.AccelerationWithConfig engine_config.Architecture engine_config.QaicConfig
    import engine_config.QaicWithConfig
    """,
    "dynamic_batching_config": "class DynamicBatchingConfig batch_size_limit batch_size_target from_dict max_batch_delay_ms to_json",
    "edge": """
    class Edge cpus created_at created_on_version from_dict id memory name should_run_publish spiffe_id tags to_dict
    classes EdgeList
    """,
    "engine_config": """
    text-enum Acceleration _None=none CUDA= Jetson= OpenVINO= QAIC= ROCM= default default_acceleration_with_config is_applicable
    text-enum Acceleration requires_config with_config
    class AccelerationWithConfig is_applicable model_config to_dict
    text-enum Architecture X86= ARM= Power10= default
    class EngineConfig to_json
    error InvalidAccelerationError Exception
    error ModelOptimizationConfigError Exception
    class OpenapiAccelerationWithConfig from_dict to_dict
    class QaicConfig model_config
    class QaicWithConfig is_applicable model_config to_dict
    """,
    "exceptions": """
    class APIErrorResponse code error from_response original_response source status
    error InferenceError WallarooAPIError
    error InferenceTimeoutError Exception
    error ModelUploadError WallarooAPIError
    error WallarooAPIError Exception
    function handle_errors
    """,
    "framework": """
    class CustomConfig framework model_config to_dict validate_config
    str-enum Framework ONNX= TENSORFLOW= PYTHON= KERAS= SKLEARN= PYTORCH= XGBOOST= HUGGING_FACE_AUTOMATIC_SPEECH_RECOGNITION=
    str-enum Framework HUGGING_FACE_FEATURE_EXTRACTION= HUGGING_FACE_IMAGE_CLASSIFICATION= HUGGING_FACE_IMAGE_SEGMENTATION=
    str-enum Framework HUGGING_FACE_IMAGE_TO_TEXT= HUGGING_FACE_OBJECT_DETECTION= HUGGING_FACE_QUESTION_ANSWERING=
    str-enum Framework HUGGING_FACE_STABLE_DIFFUSION_TEXT_2_IMG= HUGGING_FACE_SUMMARIZATION= HUGGING_FACE_TEXT_CLASSIFICATION=
    str-enum Framework HUGGING_FACE_TRANSLATION= HUGGING_FACE_ZERO_SHOT_CLASSIFICATION= HUGGING_FACE_ZERO_SHOT_IMAGE_CLASSIFICATION=
    str-enum Framework HUGGING_FACE_ZERO_SHOT_OBJECT_DETECTION= HUGGING_FACE_SENTIMENT_ANALYSIS= HUGGING_FACE_TEXT_GENERATION= CUSTOM=
    str-enum Framework VLLM= SGLANG= get_default_config requires_config validate
    class FrameworkConfig framework model_config to_dict validate_config
    class OpenapiFrameworkConfig from_dict to_dict
    class SGLangConfig framework model_config to_dict validate_config
    class VLLMConfig framework model_config serialize_model to_dict validate_config validate_tool_call_parser
    import engine_config.ModelOptimizationConfigError
    """,
    "graphql": "",
    "http_utils": "",
    "model": """
    class Model created_at id last_update_time name owner_id versions workspace
    classes ModelList
    import model_version.ModelVersion object.DehydratedValue object.Object object.RequiredAttributeMissing object.rehydrate
    import object.value_if_present
    """,
    "model_config": """
    class ModelConfig continuous_batching_config dynamic_batching_config filter_threshold id input_schema inputs model_version
    class ModelConfig openai_config output_schema outputs runtime tensor_fields to_k8s_yaml
    import continuous_batching_config.ContinuousBatchingConfig object.DehydratedValue object.Object object.RequiredAttributeMissing
    import object.rehydrate object.value_if_present openai_config.OpenaiConfig
    """,
    "model_registry": """
    class ModelRegistry add_registry_to_workspace created_at id list_models name remove_registry_from_workspace updated_at upload_model
    class ModelRegistry url workspaces
    class RegisteredModel list_artifacts versions
    class RegisteredModelVersion creation_timestamp current_stage description from_dict last_updated_timestamp list_artifacts name
    class RegisteredModelVersion run_id run_link source status to_dict user_id version
    classes DbfsFileList ModelRegistriesList RegisteredModelVersionsList RegisteredModels
    import framework.Framework model_version.ModelVersion object.DehydratedValue object.Object object.RequiredAttributeMissing
    import object.rehydrate object.value_if_present
    """,
    "model_status": "function is_attempting_load model_status_to_string",
    "model_version": """
    class ModelVersion accel arch config configure deploy error_summary file_name get_upload_logs id image_path last_update_time logs
    class ModelVersion models_pk_id name rehydrate_config sha status tags uid version workspace
    classes ModelUploadLogs ModelVersionList
    import continuous_batching_config.ContinuousBatchingConfig deployment_config.DeploymentConfig
    import deployment_config.DeploymentConfigBuilder dynamic_batching_config.DynamicBatchingConfig engine_config.Acceleration
    import engine_config.Architecture exceptions.handle_errors object.DehydratedValue object.Object object.RequiredAttributeMissing
    import object.rehydrate object.value_if_present openai_config.OpenaiConfig utils.require_dns_compliance
    """,
    "object": """
    error CommunicationError Exception
    error DeploymentError Exception
    error EntityNotFoundError Exception
    error InvalidNameError Exception
    error LimitError Exception
    error ModelConversionError Exception
    error ModelConversionTimeoutError Exception
    error RequiredAttributeMissing Exception
    error UserLimitError Exception
    classes DehydratedValue Object
    function rehydrate value_if_present
    """,
    "openai_config": "class OpenaiConfig model_config",
    "openapi_tmpl": """
    class NoAliasDumper ignore_aliases
    function arrow_field_to_openapi arrow_schema_to_openapi_yaml decode_arrow_schema_from_base64
    constant DEFAULT_SCHEMA WITHOUT_OPENAI WITH_OPENAI
    """,
    "orchestration": """
    class Orchestration created_at file_name id list_orchestrations list_tasks name run_continuously run_once run_scheduled sha status
    class Orchestration task updated_at upload workspace_id
    error OrchestrationDeployOneshotFailed Exception
    error OrchestrationMissingFile Exception
    error OrchestrationUploadFailed Exception
    classes OrchestrationList
    import object.DehydratedValue object.Object object.RequiredAttributeMissing object.rehydrate object.value_if_present task.Task
    import task.TaskList workspace.Workspace
    """,
    "pipeline": """
    class Pipeline add_audit add_key_split add_model_step add_multi_model_step add_random_split add_select add_shadow_deploy
    class Pipeline add_validations async_infer builder clear create_time create_version definition deploy export_logs generate_api_spec
    class Pipeline get_external_url get_pipeline_configuration get_sidekick_pod_logs get_sidekick_pods_history get_topic_name id infer
    class Pipeline infer_from_file last_update_time list_edges logs model_configs name openai_chat_completion openai_completion owner_id
    class Pipeline parallel_infer publish publishes remove_step replace_with_audit replace_with_key_split replace_with_model_step
    class Pipeline replace_with_multi_model_step replace_with_random_split replace_with_select replace_with_shadow_deploy status steps
    class Pipeline tags undeploy url versions workspace
    classes Pipelines SidekickPodLogs SidekickPodsHistory
    function update_timestamp
    constant DEFAULT_LOGS_DIRECTORY DEFAULT_SCHEMA WITHOUT_OPENAI WITH_OPENAI
    import deployment.Deployment deployment_config.DeploymentConfig edge.Edge edge.EdgeList engine_config.Acceleration
    import engine_config.Architecture exceptions.APIErrorResponse exceptions.WallarooAPIError model_config.ModelConfig
    import model_version.ModelVersion object.DehydratedValue object.EntityNotFoundError object.Object object.RequiredAttributeMissing
    import object.rehydrate object.value_if_present openapi_tmpl.arrow_schema_to_openapi_yaml
    import openapi_tmpl.decode_arrow_schema_from_base64 pipeline_config.PipelineConfigBuilder pipeline_config.Step
    import pipeline_publish.PipelinePublish pipeline_publish.PipelinePublishList utils.require_dns_compliance
    """,
    "pipeline_config": """
    class AuditResults from_json is_inference_step shortname to_json
    class Average from_json is_inference_step shortname to_json
    class Check from_json from_validation_dict is_inference_step shortname to_json
    class ColumnsSelect from_json is_inference_step shortname to_json
    class ColumnsToRows from_json is_inference_step shortname to_json
    class MetaValueSplit from_json is_inference_step shortname to_json
    class ModelForStep from_json from_model to_json
    class ModelInference from_json is_inference_step shortname to_json
    class ModelWeight from_json from_tuple to_json
    class MultiOut from_json is_inference_step shortname to_json
    class Nth from_json is_inference_step shortname to_json
    class PipelineConfig from_json to_json
    class PipelineConfigBuilder add_audit add_key_split add_model_step add_multi_model_step add_multi_out add_random_split add_select
    class PipelineConfigBuilder add_shadow_deploy add_validations clear config remove_step replace_with_audit replace_with_key_split
    class PipelineConfigBuilder replace_with_model_step replace_with_multi_model_step replace_with_random_split replace_with_select
    class PipelineConfigBuilder replace_with_shadow_deploy replace_with_validations upload
    class RandomSplit from_json is_inference_step shortname to_json
    class RowToModel from_json to_json
    class RowsToModels from_json is_inference_step shortname to_json
    class Step from_json is_inference_step shortname to_json
    str-enum ValidDataType f32= f64= i8= u8= i16= u16= i32= u32= i64= u64=
    classes ModelConfigsForStep Steps
    import model_config.ModelConfig model_version.ModelVersion
    """,
    "pipeline_publish": """
    class PipelinePublish add_edge created_at created_by created_on_version docker_run_variables edge_bundles engine_config engine_url
    class PipelinePublish error from_dict helm id list_edges pipeline_name pipeline_url pipeline_version_id pipeline_version_name
    class PipelinePublish remove_edge replaces status to_dict updated_at user_images workspace_id workspace_name
    classes PipelinePublishList
    function sum_memory
    import edge.Edge edge.EdgeList
    """,
    "pipeline_version": """
    class PipelineVersion create_time definition deploy deployments id last_update_time model_configs name pipeline publish publishes
    classes PipelineVersionList
    import deployment.Deployment deployment_config.DeploymentConfig deployment_config.DeploymentConfigBuilder engine_config.Acceleration
    import engine_config.Architecture engine_config.InvalidAccelerationError model_config.ModelConfig object.DehydratedValue
    import object.EntityNotFoundError object.Object object.RequiredAttributeMissing object.rehydrate object.value_if_present
    import pipeline_config.Step pipeline_config.Steps pipeline_publish.PipelinePublish
    """,
    "queries": "function named",
    "tag": """
    class Tag add_to_model add_to_pipeline id list_model_versions list_pipelines model_tags pipeline_tags remove_from_model
    class Tag remove_from_pipeline tag
    classes Tags
    import model_version.ModelVersion object.DehydratedValue object.Object object.RequiredAttributeMissing object.rehydrate
    import object.value_if_present pipeline.Pipeline
    """,
    "task": """
    class Task created_at get_task_by_id id input_data kill last_runs list_tasks name status task_type updated_at workspace_id
    classes TaskList
    import object.DehydratedValue object.Object object.RequiredAttributeMissing object.rehydrate object.value_if_present
    import task_run.TaskRun task_run.TaskRunList workspace.Workspace
    """,
    "task_run": """
    class TaskRun logs
    classes TaskRunList TaskRunLogs
    import object.DehydratedValue object.Object object.RequiredAttributeMissing object.value_if_present
    """,
    "user": """
    class User email enabled get_email_by_id id invite_user list_users username
    import object.UserLimitError
    """,
    "user_type": "str-enum UserType OWNER= COLLABORATOR= from_str",
    "utils": """
    function convert_ndarray_batch_to_arrow create_new_arrow_file create_new_file create_new_json_file dns_compliant
    function flatten_np_array_columns generate_file_name is_assays_v2_enabled require_dns_compliance write_to_file
    constant ASSAYS_V2_ENABLED DEFAULT_ARROW_FILE_SUFFIX DEFAULT_JSON_FILE_SUFFIX
    import object.InvalidNameError
    """,
    "version": "",
    "visibility": "",
    "workspace": """
    class Workspace add_connection add_owner add_user archived created_at created_by get_workspace id list_connections list_workspaces
    class Workspace models name pipelines remove_connection remove_user to_json users
    classes Workspaces
    import connection.Connection connection.ConnectionList exceptions.handle_errors model.Model model.ModelList
    import object.EntityNotFoundError object.Object object.RequiredAttributeMissing object.rehydrate object.value_if_present
    import pipeline.Pipeline user.User user_type.UserType
    """,
}
