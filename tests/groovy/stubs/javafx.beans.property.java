package javafx.beans.property;

import javafx.beans.value.WritableObjectValue;

public abstract class ObjectProperty<T> implements WritableObjectValue<T> {}

public abstract class StringProperty implements WritableObjectValue<String> {}

public abstract class BooleanProperty {
    public native boolean get();
    public native void set(boolean value);
}
