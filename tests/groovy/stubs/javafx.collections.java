package javafx.collections;

import java.util.Collection;
import java.util.List;
import java.util.Map;

public interface ObservableList<E> extends List<E> {
    boolean addAll(E... elements);
    boolean setAll(E... elements);
    boolean setAll(Collection<? extends E> elements);
    boolean removeAll(E... elements);
}

public interface ObservableMap<K, V> extends Map<K, V> {}
