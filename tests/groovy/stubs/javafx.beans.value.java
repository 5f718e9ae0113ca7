package javafx.beans.value;

public interface WritableObjectValue<T> {
    T get();
    void set(T value);
}
