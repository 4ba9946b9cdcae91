package dayfly.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.LinkedHashMap;
import java.util.Map;

/** One call, as its handler may know it. */
final class CallContext implements Context {
    private final Facts facts;
    private final Map<String, Object> header;
    private final LambdaLogger logger;
    private final ClientContext client;
    private final CognitoIdentity identity;

    /** What all calls of an instance have in common. */
    static final class Facts {
        private final String group = System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
        private final String stream = System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
        private final String name = System.getenv("AWS_LAMBDA_FUNCTION_NAME");
        private final String version = System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
        private final int memory = memory();

        private static int memory() {
            String text = System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
            return text == null ? 0 : Integer.parseInt(text);
        }
    }

    CallContext(Facts facts, Map<String, Object> header, LambdaLogger logger) {
        this.facts = facts;
        this.header = header;
        this.logger = logger;
        Map<?, ?> sent = object(header.get("client_context"));
        client = sent == null ? null : new Caller(sent);
        Map<?, ?> who = object(header.get("cognito_identity"));
        identity = who == null ? null : new Who(who);
    }

    private static Map<?, ?> object(Object text) {
        Object value = text == null || text.equals("") ? null : JsonReader.read((String) text);
        return value instanceof Map ? (Map<?, ?>) value : null;
    }

    private static String text(Map<?, ?> map, String key) {
        Object value = map.get(key);
        return value == null ? null : value.toString();
    }

    @Override
    public String getAwsRequestId() {
        return text(header, "id");
    }

    @Override
    public String getLogGroupName() {
        return facts.group;
    }

    @Override
    public String getLogStreamName() {
        return facts.stream;
    }

    @Override
    public String getFunctionName() {
        return facts.name;
    }

    @Override
    public String getFunctionVersion() {
        return facts.version;
    }

    @Override
    public String getInvokedFunctionArn() {
        return text(header, "arn");
    }

    @Override
    public CognitoIdentity getIdentity() {
        return identity;
    }

    @Override
    public ClientContext getClientContext() {
        return client;
    }

    @Override
    public int getRemainingTimeInMillis() {
        long left = ((Number) header.get("deadline_ms")).longValue() - System.currentTimeMillis();
        return (int) Math.max(0, Math.min(left, Integer.MAX_VALUE));
    }

    @Override
    public int getMemoryLimitInMB() {
        return facts.memory;
    }

    @Override
    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public String getTenantId() {
        return text(header, "tenant_id");
    }

    @Override
    public String getXrayTraceId() {
        return text(header, "trace");
    }

    private static final class Caller implements ClientContext, Client {
        private final Map<?, ?> sent;
        private final Map<?, ?> application;

        Caller(Map<?, ?> sent) {
            this.sent = sent;
            this.application = sent.get("client") instanceof Map ? (Map<?, ?>) sent.get("client") : null;
        }

        @Override
        public Client getClient() {
            return application == null ? null : this;
        }

        @Override
        public Map<String, String> getCustom() {
            return strings("custom");
        }

        @Override
        public Map<String, String> getEnvironment() {
            return strings("env");
        }

        private Map<String, String> strings(String key) {
            if (!(sent.get(key) instanceof Map)) {
                return null;
            }
            Map<String, String> strings = new LinkedHashMap<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) sent.get(key)).entrySet()) {
                strings.put((String) entry.getKey(), entry.getValue() == null ? null : entry.getValue().toString());
            }
            return strings;
        }

        @Override
        public String getInstallationId() {
            return text(application, "installation_id");
        }

        @Override
        public String getAppTitle() {
            return text(application, "app_title");
        }

        @Override
        public String getAppVersionName() {
            return text(application, "app_version_name");
        }

        @Override
        public String getAppVersionCode() {
            return text(application, "app_version_code");
        }

        @Override
        public String getAppPackageName() {
            return text(application, "app_package_name");
        }
    }

    private static final class Who implements CognitoIdentity {
        private final Map<?, ?> sent;

        Who(Map<?, ?> sent) {
            this.sent = sent;
        }

        @Override
        public String getIdentityId() {
            return text(sent, "cognitoIdentityId");
        }

        @Override
        public String getIdentityPoolId() {
            return text(sent, "cognitoIdentityPoolId");
        }
    }
}
