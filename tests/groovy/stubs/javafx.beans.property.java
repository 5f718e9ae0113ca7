package javafx.beans.property;

public abstract class StringProperty {
    public native String get();
    public native void set(String value);
}

public abstract class BooleanProperty {
    public native boolean get();
    public native void set(boolean value);
}
