package dayfly.rehearsal;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.HashMap;
import java.util.Map;

/** Maps in and out. */
public final class Greeting implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Map<String, Object> answer = new HashMap<>();
        answer.put("hello", event.get("name"));
        answer.put("left", context.getRemainingTimeInMillis());
        return answer;
    }
}
